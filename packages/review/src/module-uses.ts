/** Uses of functions in a shipped module: its relocations, and the branches that the assembler resolved within a section. */
import type { Architecture } from '@kstitch/arch/architecture';
import { Flow, noTarget } from '@kstitch/arch/instructions';
import { hasFlag, SHF, SHT, STT } from '@kstitch/elf/constants';
import type { ElfFile, ElfSymbol, Section } from '@kstitch/elf/model';
import { readRelocations } from '@kstitch/elf/relocations';
import type { FunctionUse } from './shipped-uses.ts';

type Use = Omit<FunctionUse, 'sites'>;

/** Sections that list every function, or places in them, and call nothing. */
const tables =
  /^(?:__ksymtab|__mcount_loc|\.orc_|__bug_table|\.return_sites|\.retpoline_sites|\.call_sites|\.altinstructions|\.parainstructions|\.smp_locks|\.ibt_endbr_seal|__ex_table|__jump_table|__patchable_function_entries|\.static_call_sites|\.modinfo|__kcrctab)/;

/**
 * @param name - of the module
 * @param functionName - what to look for: an export of another object, or a function of the module itself
 * @param rank - which of the module's own symbols of that name, from 1; 0 where it has one
 * @returns one entry a site
 */
export function findUsesInModule(
  file: ElfFile,
  name: string,
  functionName: string,
  rank: number,
  arch: Architecture,
): readonly Use[] {
  const own = file.symbols.filter(
    symbol => symbol.name === functionName && symbol.section !== undefined && symbol.type === STT.FUNC,
  )[Math.max(0, rank - 1)];
  const uses: Use[] = [];
  const functions = file.symbols.filter(
    symbol => symbol.type === STT.FUNC && symbol.section !== undefined && symbol.st_size > 0,
  );
  for (const table of file.sections) {
    const section = file.sections[table.sh_info];
    if (table.sh_type !== SHT.RELA || section === undefined || !isLive(section)) continue;
    const isCode = hasFlag(section.sh_flags, SHF.EXECINSTR);
    for (const { r_offset, r_sym, r_type, r_addend } of readRelocations(file, table)) {
      const symbol = file.symbols[r_sym];
      if (symbol === undefined) continue;
      const pcRelative = arch.relocation(r_type)?.pcRelative === true;
      const place = Number(symbol.st_value) + Number(r_addend) + (pcRelative && isCode ? 4 : 0);
      const isIt =
        own === undefined
          ? symbol.section === undefined && symbol.name === functionName
          : symbol.section === own.section && place === Number(own.st_value);
      if (!isIt) continue;
      uses.push(
        isCode ? codeUse(name, section, functions, r_offset) : dataUse(name, file, section, r_offset),
      );
    }
  }
  if (own !== undefined) uses.push(...resolvedBranches(name, functions, own, arch));
  return uses.filter(use => use.name !== functionName || use.kind === 'data');
}

function isLive(section: Section): boolean {
  return (
    hasFlag(section.sh_flags, SHF.ALLOC) &&
    !/^\.(?:init|exit)/.test(section.name) &&
    !tables.test(section.name)
  );
}

function codeUse(object: string, section: Section, functions: readonly ElfSymbol[], offset: number): Use {
  const owner = functionAt(functions, section, offset);
  const opcode = section.bytes[offset - 1];
  const isBranch = section.bytes[offset - 2] === 0x0f && ((opcode ?? 0) & 0xf0) === 0x80;
  // Relocations stand at operands only: the byte before is the opcode of a call or jump, or part of another instruction.
  const kind = opcode === 0xe8 ? 'call' : opcode === 0xe9 || isBranch ? 'jump' : 'code';
  return { object, name: owner?.name ?? section.name, kind };
}

function dataUse(object: string, file: ElfFile, section: Section, offset: number): Use {
  const owner = file.symbols.find(
    ({ section: home, type, st_value, st_size }) =>
      home === section &&
      type === STT.OBJECT &&
      offset >= Number(st_value) &&
      offset < Number(st_value) + Number(st_size),
  );
  const inside = offset - Number(owner?.st_value ?? 0);
  const where = owner?.name ?? section.name;
  return { object, name: inside === 0 ? where : `${where}+0x${inside.toString(16)}`, kind: 'data' };
}

function functionAt(
  functions: readonly ElfSymbol[],
  section: Section,
  offset: number,
): ElfSymbol | undefined {
  return functions.find(
    symbol =>
      symbol.section === section &&
      offset >= Number(symbol.st_value) &&
      offset < Number(symbol.st_value) + Number(symbol.st_size),
  );
}

function* resolvedBranches(
  object: string,
  functions: readonly ElfSymbol[],
  own: ElfSymbol,
  arch: Architecture,
): Iterable<Use> {
  const target = Number(own.st_value);
  for (const symbol of functions) {
    if (symbol.section !== own.section || symbol === own) continue;
    const start = Number(symbol.st_value);
    const bytes = symbol.section?.bytes.subarray(start, start + Number(symbol.st_size));
    if (bytes === undefined) continue;
    const code = arch.decode(bytes);
    for (let i = 0; i < code.count; i++) {
      const to = code.targets[i] ?? noTarget;
      // The field of a relocated call is zero, or nearly: it seems to lead to the next instruction.
      if (to === noTarget || start + to !== target || to === (code.starts[i] ?? 0) + (code.lengths[i] ?? 0))
        continue;
      yield { object, name: symbol.name, kind: code.flows[i] === Flow.call ? 'call' : 'jump' };
    }
  }
}
