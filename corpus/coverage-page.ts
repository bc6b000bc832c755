import { type FileResult, outcomes } from './file-result.ts';
import type { LoadResult } from './load-modules.ts';

export interface Coverage {
  readonly from: string;
  readonly to: string;
  readonly release: string;
  /** As it was typed. */
  readonly command: string;
  /** `2026-11-23` */
  readonly date: string;
  /** .c files that differ, and how many of them the flavour does not compile. */
  readonly differing: number;
  readonly notCompiled: number;
  /** All results, or those of a sample. */
  readonly results: readonly FileResult[];
  /** By file: what a person who read the source says of a refusal (corpus/checked). */
  readonly checked: ReadonlyMap<string, string>;
  /** By module name; of built ones without a result the load was not tried. */
  readonly loads: ReadonlyMap<string, LoadResult>;
}

/** Characters of a diagnostic's text in a table. */
const MAX_TEXT = 240;

const meanings = {
  built: 'a livepatch was built; it is loaded and removed in a virtual machine, and the kernel log is read',
  'no difference':
    'the machine code is the same before and after; confirmed by comparing the outputs of objdump',
  refused: 'kstitch says why it cannot be live-patched, or not safely',
  'does not compile alone': 'the file needs another part of the update, mostly a header',
  error: 'kstitch failed, or its result and the second opinion differ',
} as const satisfies Record<(typeof outcomes)[number], string>;

/** Stands before each run's part of the page, with the command that wrote it. */
const partBegin = '<!-- Written by `';

const head = `# Coverage

What kstitch makes of fixes that none of us wrote: the difference of each file between two of Debian's kernels, as a livepatch alone.
`;

/**
 * @param page - docs/coverage.md as it is, undefined when there is none
 * @param part - from {@link writeCoverage}
 * @returns the page with the part in the place of what the same command wrote earlier, or behind the others
 */
export function putPart(page: string | undefined, part: string): string {
  const parts = (page ?? '').split(partBegin).slice(1);
  const body = part.slice(partBegin.length);
  const command = (text: string) => text.slice(0, text.indexOf('\n'));
  const earlier = parts.findIndex(text => command(text) === command(body));
  const all = earlier < 0 ? [...parts, body] : parts.with(earlier, body);
  return [`${head}\n`, ...all.map(text => `${text.trimEnd()}\n\n`)].join(partBegin).trimEnd().concat('\n');
}

/** @returns a run's part of docs/coverage.md */
export function writeCoverage(coverage: Coverage): string {
  const { results, loads } = coverage;
  const of = (outcome: FileResult['outcome']) => results.filter(result => result.outcome === outcome);
  const built = of('built');
  const tried = built.flatMap(({ module }) => loads.get(module?.name ?? '') ?? []);
  const stalled = tried.filter(load => load.stalledBy.length > 0);
  const failedLoads = tried.filter(load => !load.ok && load.stalledBy.length === 0);
  const inForce = tried.filter(load => load.ok && load.applied.length > 0);
  const compiled = results.length - of('does not compile alone').length;
  const carried = built.length - failedLoads.length - stalled.length + of('no difference').length;
  const sections = [
    `${partBegin}${coverage.command}\`. -->

## ${coverage.from} to ${coverage.to}, ${coverage.release}

Every .c file that differs between the Debian kernels ${coverage.from} and ${coverage.to} and that
${coverage.release} is built from; the difference of each file made into a livepatch alone.

- Command: \`${coverage.command}\`
- Date: ${coverage.date}
- Files that differ: ${coverage.differing}; not compiled for this flavour: ${coverage.notCompiled}; taken: ${results.length}

| result | files | share | meaning |
|---|---|---|---|
${outcomes
  .map(
    name =>
      `| ${name} | ${of(name).length} | ${percent(of(name).length, results.length)} | ${meanings[name]} |`,
  )
  .join('\n')}

Of the ${compiled} that compile alone, ${carried} (${percent(carried, compiled)}) are built and load, or make rightly no difference.

Loaded, disabled and removed: ${tried.length - failedLoads.length - stalled.length} of ${built.length}; ${stalled.length} stalled, ${failedLoads.length} failed, ${built.length - tried.length} not tried.
${inForce.length} of them came into force: the machine had what they patch.
`,
    writeFailedLoads(failedLoads),
    writeStalled(stalled),
    writeFindings('Errors', of('error')),
    writeCodes(of('refused')),
    writeRefused(of('refused'), coverage.checked),
    writeNames('Does not compile alone', of('does not compile alone')),
    writeNames('No difference', of('no difference')),
    writeBuilt(built, loads),
    writeTimes(results),
  ];
  return sections.filter(section => section !== '').join('\n');
}

function writeCodes(results: readonly FileResult[]): string {
  const byCode = Object.entries(Object.groupBy(results, result => result.code)).map(
    ([code, list = []]) => [code, list] as const,
  );
  if (byCode.length === 0) return '';
  const rows = byCode
    .toSorted(([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : 1))
    .map(([code, list]) => `| ${code} | ${list.length} | ${list.map(({ file }) => file).join(', ')} |`);
  return `### Refusals by code\n\n| code | files | which |\n|---|---|---|\n${rows.join('\n')}\n`;
}

function writeFindings(title: string, results: readonly FileResult[]): string {
  if (results.length === 0) return '';
  const rows = results.map(
    ({ file, code, findings }) => `| ${file} | ${code} | ${cell(showFirst(findings))} |`,
  );
  return `### ${title}\n\n| file | code | first finding |\n|---|---|---|\n${rows.join('\n')}\n`;
}

function showFirst(findings: FileResult['findings']): string {
  const [first] = findings;
  const more = findings.length > 1 ? ` (and ${findings.length - 1} more)` : '';
  const place = first === undefined || first.place === '' ? '' : `${first.place}: `;
  return `${place}${first?.text ?? ''}${more}`;
}

function writeRefused(results: readonly FileResult[], checked: ReadonlyMap<string, string>): string {
  if (results.length === 0) return '';
  const rows = results.map(
    ({ file, code, findings }) =>
      `| ${file} | ${cell(showFirst(findings))} | ${cell(checked.get(file) ?? `not checked (${code})`)} |`,
  );
  const done = results.filter(({ file }) => checked.has(file)).length;
  return `### Refused\n\n${done} of ${results.length} were held against the source by hand.\n\n| file | first finding | checked |\n|---|---|---|\n${rows.join('\n')}\n`;
}

function writeFailedLoads(loads: readonly LoadResult[]): string {
  if (loads.length === 0) return '';
  const rows = loads.map(({ module, words }) => `| ${module} | ${cell(words.join('; '))} |`);
  return `### Built, and failed in the virtual machine\n\n| module | what |\n|---|---|\n${rows.join('\n')}\n`;
}

function writeStalled(loads: readonly LoadResult[]): string {
  if (loads.length === 0) return '';
  const rows = loads.map(({ module, stalledBy }) => `| ${module} | ${cell(stalledBy.join(', '))} |`);
  return `### Loaded, and the transition did not end

A kernel thread of an idle machine sleeps in the function that is replaced, and the kernel moves no task whose stack it is on.
The transition was reversed and the livepatch removed, with nothing in the kernel log against it.

| module | waits for |
|---|---|
${rows.join('\n')}
`;
}

function writeNames(title: string, results: readonly FileResult[]): string {
  if (results.length === 0) return '';
  return `### ${title}\n\n${results.map(({ file }) => `- ${file}`).join('\n')}\n`;
}

function writeBuilt(results: readonly FileResult[], loads: ReadonlyMap<string, LoadResult>): string {
  if (results.length === 0) return '';
  const rows = results.map(({ file, module }) => {
    if (module === undefined) return `| ${file} | | | | | |`;
    const load = loads.get(module.name);
    const state =
      load === undefined ? 'not tried' : load.ok ? 'clean' : load.stalledBy.length > 0 ? 'stalled' : 'failed';
    const force =
      load === undefined || !load.ok ? '' : load.applied.length > 0 ? ', in force' : ', target absent';
    return `| ${file} | ${module.objects.join(', ')} | ${module.functions} | ${module.klpRelocations} | ${module.unload} | ${state}${force} |`;
  });
  return `### Built\n\n| file | patches | functions | klp relocations | unload | loaded |\n|---|---|---|---|---|---|\n${rows.join('\n')}\n`;
}

/** Where the time of a build goes, by kind of step; steps run beside each other. */
function writeTimes(results: readonly FileResult[]): string {
  const kinds = new Map<string, number>();
  for (const { steps } of results) {
    for (const [kind, seconds] of Object.entries(steps)) kinds.set(kind, (kinds.get(kind) ?? 0) + seconds);
  }
  const rows = [...kinds]
    .toSorted(([, a], [, b]) => b - a)
    .map(
      ([kind, seconds]) => `| ${kind} | ${seconds.toFixed(0)} | ${(seconds / results.length).toFixed(2)} |`,
    );
  const total = results.reduce((sum, { seconds }) => sum + seconds, 0);
  return `### Time\n\nWall time of the builds, two at a time: ${total.toFixed(0)} s, ${(total / Math.max(1, results.length)).toFixed(1)} s a file.\n\n| step | s | s a file |\n|---|---|---|\n${rows.join('\n')}\n`;
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '–' : `${((part / whole) * 100).toFixed(1)} %`;
}

/** Text for one cell of a table. */
function cell(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').replaceAll('|', String.raw`\|`);
  return line.length <= MAX_TEXT ? line : `${line.slice(0, MAX_TEXT - 1)}…`;
}
