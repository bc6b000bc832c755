/**
 * What objtool has to have done to the linked module. kbuild runs it there on kernels with IBT by itself and on others
 * only with `delay-objtool=y`; without it the module builds, loads, and goes wrong later.
 */
import { Flow } from '@kstitch/arch/instructions';
import { x86_64 } from '@kstitch/arch/x86-64';
import { hasFlag, SHF, STT } from '@kstitch/elf/constants';
import type { ElfSymbol, Section } from '@kstitch/elf/model';
import type { KernelLayout } from '@kstitch/kernel/kernel-layout';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { type RelocatedModule, showPlace, tableTargets } from './relocated-module.ts';

export interface CodeRules {
  /** Whether the kernel patches returns at boot: it exports {@link returnThunk}. */
  readonly returnThunks: boolean;
  /** `struct jump_entry` of the kernel. */
  readonly jumpEntry: KernelLayout['jumpEntry'];
}

/** What compiled code jumps to instead of returning (CONFIG_RETHUNK). */
export const returnThunk = '__x86_return_thunk';

export function checkCode(module: RelocatedModule, rules: CodeRules): Diagnostic[] {
  const functions = functionsOf(module);
  return [
    ...checkUnwinding(module, functions),
    ...checkReturns(module, functions, rules),
    ...checkJumpLabels(module, rules),
  ];
}

interface CodeFunction {
  readonly name: string;
  readonly section: Section;
  readonly start: number;
  readonly end: number;
}

/** Each place once, whatever it is called: aliases decode to the same instructions. */
function functionsOf({ file }: RelocatedModule): CodeFunction[] {
  const byPlace = new Map<string, CodeFunction>();
  for (const symbol of file.symbols) {
    const found = codeFunctionOf(symbol);
    if (found !== undefined) byPlace.set(`${found.section.index} ${found.start} ${found.end}`, found);
  }
  return [...byPlace.values()];
}

function codeFunctionOf({ name, section, type, st_value, st_size }: ElfSymbol): CodeFunction | undefined {
  if (section === undefined || type !== STT.FUNC || !hasFlag(section.sh_flags, SHF.EXECINSTR))
    return undefined;
  const start = Number(st_value);
  const end = Math.min(start + Number(st_size), section.bytes.length);
  return start < end ? { name, section, start, end } : undefined;
}

/** In bytes: `struct orc_entry`; the low half of byte 4 names the register that the frame is found by, 0 is none. */
const orcEntry = { size: 6, register: 4 } as const;

function checkUnwinding(module: RelocatedModule, functions: readonly CodeFunction[]): Diagnostic[] {
  const orc = module.file.sections.find(section => section.name === '.orc_unwind');
  const bySection = Map.groupBy(
    tableTargets(module, '.orc_unwind_ip').map(({ at, to }) => {
      const entry = (at.offset / 4) * orcEntry.size + orcEntry.register;
      return { section: to.section, offset: to.offset, known: ((orc?.bytes[entry] ?? 0) & 0xf) !== 0 };
    }),
    ({ section }) => section.index,
  );
  const findings: Diagnostic[] = [];
  for (const ofSection of Map.groupBy(functions, ({ section }) => section.index).values()) {
    const [first] = ofSection;
    if (first === undefined) continue;
    const { section } = first;
    const entries = bySection.get(section.index);
    if (entries === undefined) {
      const text = `'${section.name}' has no entry in '.orc_unwind_ip'`;
      findings.push(diagnostic('livepatch-orc-missing', { section: section.name }, text));
      continue;
    }
    const sorted = entries.toSorted((a, b) => a.offset - b.offset);
    for (const { name, start } of ofSection) {
      if (sorted.findLast(({ offset }) => offset <= start)?.known === true) continue;
      const text = `'.orc_unwind' does not say how to unwind '${showPlace(section, start)}'`;
      const place = { section: section.name, symbol: name, offset: 0 };
      findings.push(diagnostic('livepatch-orc-missing', place, text));
    }
  }
  return findings;
}

function checkReturns(
  module: RelocatedModule,
  functions: readonly CodeFunction[],
  rules: CodeRules,
): Diagnostic[] {
  const listed = new Set(
    tableTargets(module, '.return_sites').map(({ to }) => `${to.section.index} ${to.offset}`),
  );
  const thunkFields = new Set(
    module.groups.flatMap(({ target, entries }) =>
      entries
        .filter(({ r_sym }) => module.file.symbols[r_sym]?.name === returnThunk)
        .map(({ r_offset }) => `${target.index} ${r_offset}`),
    ),
  );
  const findings: Diagnostic[] = [];
  for (const { name, section, start, end } of functions) {
    const instructions = x86_64.decode(section.bytes.subarray(start, end));
    const wrong: string[] = [];
    let firstWrong = 0;
    for (let index = 0; index < instructions.count; index++) {
      const first = start + (instructions.starts[index] ?? 0);
      const last = first + (instructions.lengths[index] ?? 0);
      const bare = instructions.flows[index] === Flow.return && rules.returnThunks;
      // The displacement is the last field of a jump, conditional or not.
      const thunk = thunkFields.has(`${section.index} ${last - 4}`);
      if (!bare && (!thunk || listed.has(`${section.index} ${first}`))) continue;
      if (wrong.length === 0) firstWrong = first - start;
      const what = `the return at '${showPlace(section, first)}'`;
      wrong.push(bare ? `${what} does not go through ${returnThunk}` : `${what} is not in '.return_sites'`);
    }
    const [text, ...notes] = wrong;
    if (text === undefined) continue;
    const place = { section: section.name, symbol: name, offset: firstWrong };
    findings.push(diagnostic('livepatch-return-site-missing', place, text, { notes }));
  }
  return findings;
}

/** Flag in the addend of an entry's key: the assembler was given a jump, which objtool replaces by a NOP (arch/x86/include/asm/jump_label.h). */
const jumpMeansNop = 2n;

const nop2 = [0x66, 0x90] as const;
const nop5 = [0x0f, 0x1f, 0x44, 0x00, 0x00] as const;

/**
 * A site whose key has the flag must be a NOP now. A site without it is whatever the code starts as, NOP or jump: which
 * of the two follows from the key's initial value, and the compiler wrote it.
 */
function checkJumpLabels({ file, groups }: RelocatedModule, { jumpEntry }: CodeRules): Diagnostic[] {
  const findings: Diagnostic[] = [];
  const tables = Map.groupBy(
    groups.filter(({ target }) => target.name === '__jump_table'),
    ({ target }) => target.index,
  );
  for (const ofTable of tables.values()) {
    const entries = new Map(
      ofTable.flatMap(group => group.entries.map(entry => [entry.r_offset, entry] as const)),
    );
    for (let at = 0; at < (ofTable[0]?.target.sh_size ?? 0); at += Math.max(1, jumpEntry.size)) {
      const code = entries.get(at + jumpEntry.code);
      const key = entries.get(at + jumpEntry.key);
      const symbol = code === undefined ? undefined : file.symbols[code.r_sym];
      if (code === undefined || key === undefined || symbol?.section === undefined) {
        findings.push(
          diagnostic(
            'livepatch-jump-label-raw',
            { section: '__jump_table', offset: at },
            `entry ${at / jumpEntry.size} of '__jump_table' does not lead to code of the module`,
          ),
        );
        continue;
      }
      const { section } = symbol;
      const offset = Number(symbol.st_value + code.r_addend);
      const site = section.bytes.subarray(offset, offset + 5);
      const nop = startsWith(site, nop2) || startsWith(site, nop5);
      const jump = site[0] === 0xeb || site[0] === 0xe9;
      if (nop || (jump && (key.r_addend & jumpMeansNop) === 0n)) continue;
      const shown = Array.from(site.subarray(0, site[0] === 0xeb ? 2 : 5), b =>
        b.toString(16).padStart(2, '0'),
      );
      findings.push(
        diagnostic(
          'livepatch-jump-label-raw',
          { section: section.name, offset },
          `the static branch at '${showPlace(section, offset)}' is ${shown.join(' ')}, not a NOP`,
        ),
      );
    }
  }
  return findings;
}

function startsWith(bytes: Uint8Array, start: readonly number[]): boolean {
  return start.every((byte, index) => bytes[index] === byte);
}
