/**
 * Which symbols of an object name functions and objects, and where those begin.
 *
 * A function may be preceded by padding that belongs to it: NOPs of -fpatchable-function-entry, named `__pfx_f` by objtool,
 * or the type hash of kCFI, named `__cfi_f` by clang.
 */
import { STB, STT } from '@kstitch/elf/constants';
import type { ElfFile, ElfSymbol } from '@kstitch/elf/model';
import type { UnitRelocation } from './gather-relocations.ts';

/** @returns by section index, in the order of the symbol table, the symbols that a function or an object has */
export function symbolsBySection(file: ElfFile): readonly (readonly ElfSymbol[] | undefined)[] {
  const bySection: ElfSymbol[][] = [];
  for (const symbol of file.symbols) {
    if (symbol.section === undefined || !namesAnAtom(symbol)) continue;
    const list = bySection[symbol.section.index];
    if (list === undefined) bySection[symbol.section.index] = [symbol];
    else list.push(symbol);
  }
  return bySection;
}

function namesAnAtom(symbol: ElfSymbol): boolean {
  return (
    symbol.type !== STT.SECTION &&
    symbol.type !== STT.FILE &&
    symbol.name !== '' &&
    !symbol.name.startsWith('.L')
  );
}

/** An empty structure: `struct lock_class_key` without lockdep. It shares its place with whatever comes next. */
export function isEmptyObject(symbol: ElfSymbol): boolean {
  return symbol.type === STT.OBJECT && symbol.st_size === 0n;
}

/**
 * @param symbols - of one section
 * @returns them by place, the longest first, the one that names the atom before its aliases
 */
export function inOrderOfPlace(symbols: readonly ElfSymbol[]): readonly ElfSymbol[] {
  if (symbols.length < 2) return symbols;
  return symbols.toSorted(
    (a, b) => compareBig(a.st_value, b.st_value) || compareBig(b.st_size, a.st_size) || rank(a) - rank(b),
  );
}

/** Of several symbols at one place the most public one names the atom: that is what the kernel's tables call it. */
function rank(symbol: ElfSymbol): number {
  const bind = symbol.bind === STB.GLOBAL ? 0 : symbol.bind === STB.WEAK ? 2 : 1;
  const type = symbol.type === STT.FUNC || symbol.type === STT.OBJECT ? 0 : 3;
  return bind + type;
}

function compareBig(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** @returns whether the symbol names the padding of a function of the same section and not something of its own */
export function namesPadding(symbol: ElfSymbol, others: readonly ElfSymbol[]): boolean {
  const owner = /^__(?:pfx|cfi)_(.+)$/.exec(symbol.name)?.[1];
  if (owner === undefined) return false;
  const end = symbol.st_value + symbol.st_size;
  return others.some(other => other.name === owner && other.st_value === end);
}

/** @returns starts of the NOPs before functions (-fpatchable-function-entry=N,N), by section index */
export function patchablePadding(
  file: ElfFile,
  relocations: readonly (readonly UnitRelocation[] | undefined)[],
): Map<number, Set<number>> {
  const starts = new Map<number, Set<number>>();
  for (const section of file.sections) {
    if (section.name !== '__patchable_function_entries') continue;
    for (const relocation of relocations[section.index] ?? []) {
      const symbol = file.symbols[relocation.r_sym];
      if (symbol?.section === undefined) continue;
      const at = Number(symbol.st_value) + relocation.r_addend;
      const set = starts.get(symbol.section.index) ?? new Set();
      starts.set(symbol.section.index, set.add(at));
    }
  }
  return starts;
}

/**
 * @param from - end of what comes before
 * @param value - of the function's symbol
 * @returns where the function begins with its padding
 */
export function paddingStart(padding: ReadonlySet<number>, from: number, value: number): number {
  for (let start = Math.max(from, value - maxPatchablePadding); start < value; start += 1) {
    if (padding.has(start)) return start;
  }
  return value;
}

/** Bytes; the kernel uses 16 before and none or few behind the entry (arch/x86/Makefile, CONFIG_FUNCTION_PADDING_BYTES). */
const maxPatchablePadding = 64;

/**
 * Which file each local symbol comes from, for objects that `ld -r` made of several: a static function may have namesakes
 * there.
 *
 * @returns by symbol index, the file's name with its number among those of that name; empty of an object of one file
 */
export function filesOfSymbols(file: ElfFile): readonly (string | undefined)[] {
  const files: string[] = [];
  const counts = new Map<string, number>();
  let current: string | undefined;
  for (const { index, type, name, bind } of file.symbols) {
    if (type === STT.FILE) {
      const count = counts.get(name) ?? 0;
      counts.set(name, count + 1);
      current = `${name} ${count}`;
    } else if (bind === STB.LOCAL && current !== undefined) files[index] = current;
  }
  return counts.size > 1 || [...counts.values()].some(count => count > 1) ? files : [];
}
