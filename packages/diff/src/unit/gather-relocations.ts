import { hasFlag, SHF, SHT, sizeOf } from '@kstitch/elf/constants';
import type { ElfFile, Section } from '@kstitch/elf/model';
import { readRelocations, refersToSymbolTable } from '@kstitch/elf/relocations';

/** A relocation with its addend as a number: a unit has some ten thousand, and every one is looked at. */
export interface UnitRelocation {
  /** Byte offset in the section that the relocation applies to. */
  readonly r_offset: number;
  readonly r_type: number;
  /** Index into the symbols of the file. */
  readonly r_sym: number;
  /** Exact for every addend below 2^53. */
  readonly r_addend: number;
}

/**
 * @returns relocations by the index of the section they apply to, ascending by offset; those of debugging information, which are
 *   most of an object's, stay unread
 */
export function gatherRelocations(file: ElfFile): (readonly UnitRelocation[] | undefined)[] {
  const all: (readonly UnitRelocation[] | undefined)[] = [];
  for (const section of file.sections) {
    const target = file.sections[section.sh_info];
    if (section.sh_type !== SHT.RELA || target === undefined || !isWanted(target)) continue;
    const more = decode(file, section, target);
    const known = all[section.sh_info];
    const relocations = known === undefined ? more : [...known, ...more];
    all[section.sh_info] = isAscending(relocations)
      ? relocations
      : relocations.toSorted((a, b) => a.r_offset - b.r_offset);
  }
  return all;
}

/** As `readRelocations()` does, which says what is wrong where something is. */
function decode(file: ElfFile, section: Section, target: Section): UnitRelocation[] {
  const { bytes } = section;
  const checked = () =>
    readRelocations(file, section).map(relocation => ({
      ...relocation,
      r_addend: Number(relocation.r_addend),
    }));
  const isPlain =
    section.sh_entsize === sizeOf.Rela &&
    bytes.length % sizeOf.Rela === 0 &&
    file.header.byteOrder === 'little' &&
    target.index > 0 &&
    !hasFlag(target.sh_flags, SHF.COMPRESSED) &&
    refersToSymbolTable(file, section);
  if (!isPlain) return checked();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const relocations: UnitRelocation[] = [];
  for (let at = 0; at < bytes.length; at += sizeOf.Rela) {
    const r_offset = view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
    const r_sym = view.getUint32(at + 12, true);
    if (r_offset > target.sh_size || r_sym >= file.symbols.length) return checked();
    const r_addend = view.getInt32(at + 20, true) * 2 ** 32 + view.getUint32(at + 16, true);
    relocations.push({ r_offset, r_type: view.getUint32(at + 8, true), r_sym, r_addend });
  }
  return relocations;
}

function isWanted({ sh_flags, name }: Section): boolean {
  return hasFlag(sh_flags, SHF.ALLOC) || name.startsWith('.discard.');
}

function isAscending(relocations: readonly UnitRelocation[]): boolean {
  let last = 0;
  for (const { r_offset } of relocations) {
    if (r_offset < last) return false;
    last = r_offset;
  }
  return true;
}

/** @returns index of the first relocation at or behind `offset` */
export function firstFrom(relocations: readonly UnitRelocation[], offset: number): number {
  let low = 0;
  let high = relocations.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((relocations[middle]?.r_offset ?? 0) < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
