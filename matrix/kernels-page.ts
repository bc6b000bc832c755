import type { Fix, KernelCase } from './cases.ts';
import { type Causes, explainFailure } from './explain-failure.ts';
import type { KernelResult, PlacementFailure, ProvenFix } from './kernel-result.ts';

export interface MatrixRun {
  readonly command: string;
  /** `2026-11-24` */
  readonly date: string;
  /** What it ran on. */
  readonly machine: string;
  /** Whether nothing was found out for this page alone. */
  readonly kept: boolean;
  readonly rows: readonly (readonly [KernelCase, KernelResult])[];
  readonly causes: Causes;
}

/** What issue 4 wants of a kit and of builds, seconds. */
const wanted = { kit: 180, root: 240, warmRatio: 1.3 } as const;

/** @returns whether every part was done, and nothing is left that nobody explains */
export function isComplete({ kit, image, placement, fix, warm }: KernelResult, causes: Causes): boolean {
  const explained = placement?.failures.every(failure => explainFailure(failure, causes) !== undefined);
  return explained === true && [kit, image, fix, warm].every(part => part !== undefined);
}

/** @returns docs/kernels.md */
export function writeKernelsPage({ command, date, machine, kept, rows, causes }: MatrixRun): string {
  return [
    '<!-- Written by `npm run matrix`. -->',
    '',
    '# Kernels',
    '',
    'The stock Debian kernels that kstitch is tried on, from the kit to a fix that Debian itself shipped.',
    '',
    `- Command: \`${command}\``,
    `- Date: ${date}, ${machine}`,
    ...(kept
      ? [
          '- Put together of what earlier runs found out, part by part and not all with the same state of kstitch',
        ]
      : []),
    '',
    ...table(
      ['kernel', 'Debian', 'compiler', 'units placed', 'fix', 'proven'],
      rows.map(([kernel, result]) => overview(kernel, result)),
    ),
    '',
    'A real-time kernel is built with the patches in debian/patches-rt, which only the Debian part of a source package has. Of those ' +
      'kernels one is taken for which the archive that this ran on has it.',
    '',
    ...placements(rows, causes),
    ...fixes(rows),
    ...images(rows),
    ...refusals(rows),
    ...times(rows),
  ].join('\n');
}

function overview(kernel: KernelCase, { placement, fix, refused }: KernelResult): string[] {
  const head = [`\`${kernel.release}\``, fix?.packageVersion ?? kernel.debian];
  if (refused !== undefined) return [...head, '–', '–', '–', `no kit: \`${refused.code}\``];
  return [
    ...head,
    fix === undefined ? '–' : shortCompiler(fix.compiler),
    placement === undefined ? 'not tried' : share(placement.placed, placement.units),
    `${kernel.fix.file}, ${kernel.fix.to}`,
    fix === undefined ? 'no' : `yes, ${fix.reloaded ? 'unloaded and loaded again' : 'not unloaded'}`,
  ];
}

function placements(rows: MatrixRun['rows'], causes: Causes): string[] {
  const done = rows.flatMap(([{ release }, { placement }]) =>
    placement === undefined ? [] : [{ release, ...placement }],
  );
  if (done.length === 0) return [];
  const failures = done.flatMap(({ release, failures: each }) => each.map(failure => ({ release, failure })));
  const seeds = [...new Set(done.map(({ seed }) => seed))].join(', ');
  return [
    '## Units in the shipped kernel',
    '',
    'Units of C, drawn from all that the flavour is built from (seed ' +
      `${seeds}), compiled as Debian did, and looked for in the shipped vmlinux or module as a whole, every relocation checked.`,
    '',
    ...table(
      ['kernel', 'units', 'of vmlinux', 'of modules', 'placed', 'functions', 'relocations'],
      done.map(({ release, units, builtIn, placed, functions, relocations }) => [
        `\`${release}\``,
        String(units),
        String(builtIn),
        String(units - builtIn),
        share(placed, units),
        String(functions),
        String(relocations),
      ]),
    ),
    '',
    ...(failures.length === 0
      ? ['All were found.', '']
      : [
          'Not placed, and why. Such a unit cannot be patched: the build says so, with the code in the table.',
          '',
          ...table(
            ['kernel', 'unit', 'code', 'cause'],
            failures.map(({ release, failure }) => [
              `\`${release}\``,
              whereOf(failure),
              failure.codes.map(code => `\`${code}\``).join(', '),
              explainFailure(failure, causes) ?? `not looked into yet: ${failure.text}`,
            ]),
          ),
          '',
        ]),
  ];
}

function whereOf({ unit, object }: PlacementFailure): string {
  return object === 'vmlinux' ? `\`${unit}\`` : `\`${unit}\` in ${object}`;
}

function fixes(rows: MatrixRun['rows']): string[] {
  const proven = rows.flatMap(([kernel, { fix }]) =>
    fix === undefined ? [] : [{ release: kernel.release, about: kernel.fix, fix }],
  );
  if (proven.length === 0) return [];
  return [
    '## Fixes',
    '',
    'Each is the difference of one file between two versions of Debian’s kernel. All were booted as Debian ships them (the bug is there), ' +
      'then once more: livepatch loaded (gone), disabled, removed, loaded again (gone), and nothing in the kernel log.',
    '',
    ...table(
      ['file', 'versions', 'changelog', 'seen on the unpatched kernel'],
      [...new Set(proven.map(({ about }) => about))].map(({ file, from, to, title, shows }: Fix) => [
        `\`${file}\``,
        `${from} → ${to}`,
        title,
        shows,
      ]),
    ),
    '',
    ...table(
      ['kernel', 'livepatch', 'functions', 'unload', 'bare kernel', 'patched kernel', 'proof'],
      proven.map(({ release, fix }) => [
        `\`${release}\``,
        `\`${fix.module}\``,
        fix.functions.map(name => `\`${name}()\``).join(', '),
        fix.unload,
        bareWords(fix),
        fix.runs.join(', '),
        `${fix.proveSeconds.toFixed(0)} s, ${fix.accelerator}`,
      ]),
    ),
    '',
  ];
}

function bareWords({ bare, crash }: ProvenFix): string {
  const words = { status: 'the bug shows', crash: 'crashes', timeout: 'hangs' } as const;
  return crash === undefined ? words[bare] : `${words[bare]} in \`${crash}()\``;
}

function images(rows: MatrixRun['rows']): string[] {
  const read = rows.flatMap(([{ release }, { image }]) => (image === undefined ? [] : [{ release, image }]));
  if (read.length === 0) return [];
  return [
    '## What the kernels have',
    '',
    'Read out of each shipped image; sizes from its BTF. Padded: functions with `__pfx_` and 16 bytes in front. Sealed: functions ' +
      'whose landing pad (ENDBR) is taken away at boot, so that no new pointer may lead there. Constants: places in vmlinux’ code that are ' +
      'written at boot; a livepatch reads the variable in place of `USER_PTR_MAX`, and is refused for the others.',
    '',
    ...table(
      [
        'kernel',
        'symbols',
        'padded',
        'sealed',
        'constants',
        '`alt_instr`',
        '`.parainstructions`',
        '`struct module`',
        'modules',
      ],
      read.map(({ release, image }) => [
        `\`${release}\``,
        String(image.symbols),
        String(image.padded),
        String(image.sealed),
        image.constants.length === 0 ? 'none' : image.constants.join(', '),
        `${image.altInstruction} bytes`,
        image.paravirt ? 'yes' : 'no',
        `${image.moduleSize} bytes`,
        `${image.modules} ${image.moduleFiles}`,
      ]),
    ),
    '',
  ];
}

/** Kernels that say the same are told together. */
function refusals(rows: MatrixRun['rows']): string[] {
  const same = new Map<string, { readonly lines: readonly string[]; readonly releases: string[] }>();
  for (const [{ release }, { refused }] of rows) {
    if (refused === undefined) continue;
    const said = refused.message.replaceAll(release, 'RELEASE');
    const lines = [
      `\`kstitch kernel fetch\` ends with [\`${refused.code}\`](diagnostics.md), _${said}_. Their configuration says`,
      '',
      '```',
      ...refused.config,
      '```',
      '',
    ];
    const key = lines.join('\n');
    const known = same.get(key);
    if (known === undefined) same.set(key, { lines, releases: [release] });
    else known.releases.push(release);
  }
  return [...same.values()].flatMap(({ lines, releases }, i) => [
    ...(i === 0 ? ['## Kernels without a kit', ''] : []),
    `Of ${releases.map(release => `\`${release}\``).join(', ')}`,
    ...lines,
  ]);
}

function times(rows: MatrixRun['rows']): string[] {
  const measured = rows.filter(([, { kit, warm }]) => kit !== undefined || warm !== undefined);
  if (measured.length === 0) return [];
  /** Of the 6.1 of the same flavour. */
  const ratio = (release: string, samples: readonly number[]) => {
    const base = measured.find(
      ([other]) => other.release.startsWith('6.1.') && flavourOf(other.release) === flavourOf(release),
    )?.[1].warm;
    return base === undefined ? '–' : (median(samples) / median(base.processorSeconds)).toFixed(2);
  };
  return [
    '## Times',
    '',
    'On the wall clock, and the processor time of kstitch and all it calls: the machine did other things at the same time, which ' +
      'the wall clock shows and the processor time does not. Kit: from nothing but the downloaded packages, beside download and build root ' +
      `(wanted: at most ${wanted.kit} s on two cores of one's own, a root at most ${wanted.root} s); the processor time is of both. ` +
      'Warm build: the same change of fs/proc/meminfo.c on each kernel, median of the runs after the first, and its processor time as a ' +
      `multiple of that on 6.1 of the same flavour (wanted: at most ${wanted.warmRatio}).`,
    '',
    ...table(
      ['kernel', 'kit', 'processor', 'build root', 'warm build', 'processor', 'of 6.1'],
      measured.map(([{ release }, { kit, warm }]) => [
        `\`${release}\``,
        ...(kit === undefined
          ? ['–', '–', '–']
          : [
              `${kit.seconds.toFixed(0)} s`,
              `${kit.processorSeconds.toFixed(0)} s`,
              kit.rootSeconds === undefined ? '–' : `${kit.rootSeconds.toFixed(0)} s`,
            ]),
        ...(warm === undefined
          ? ['–', '–', '–']
          : [
              `${median(warm.seconds).toFixed(1)} s`,
              `${median(warm.processorSeconds).toFixed(1)} s`,
              ratio(release, warm.processorSeconds),
            ]),
      ]),
    ),
    '',
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) =>
    `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)];
}

function share(part: number, whole: number): string {
  const percent = whole === 0 ? 0 : (100 * part) / whole;
  return `${part} of ${whole} (${percent.toFixed(1)} %)`;
}

/** `gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0` is enough in its first and last words. */
function shortCompiler(compiler: string): string {
  return `${compiler.split(' ')[0]} ${/\((?:Debian )?([^)]*)\)/.exec(compiler)?.[1] ?? ''}`.trim();
}

/** `6.12.115+deb12-cloud-amd64` is of `cloud-amd64`. */
function flavourOf(release: string): string {
  return /-((?:[a-z]+-)?amd64)$/.exec(release)?.[1] ?? '';
}

function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
