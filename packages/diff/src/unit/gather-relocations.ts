import { hasFlag, SHF, SHT } from '@kstitch/elf/constants';
import type { ElfFile, Relocation, Section } from '@kstitch/elf/model';
import { readRelocations } from '@kstitch/elf/relocations';

/**
 * @returns relocations by the index of the section they apply to, ascending by offset; those of debugging information, which are
 *   most of an object's, stay unread
 */
export function gatherRelocations(file: ElfFile): (readonly Relocation[] | undefined)[] {
  const all: (readonly Relocation[] | undefined)[] = [];
  for (const section of file.sections) {
    const target = file.sections[section.sh_info];
    if (section.sh_type !== SHT.RELA || target === undefined || !isWanted(target)) continue;
    const more = readRelocations(file, section);
    const known = all[section.sh_info];
    const relocations = known === undefined ? more : [...known, ...more];
    all[section.sh_info] = isAscending(relocations)
      ? relocations
      : relocations.toSorted((a, b) => a.r_offset - b.r_offset);
  }
  return all;
}

function isWanted({ sh_flags, name }: Section): boolean {
  return hasFlag(sh_flags, SHF.ALLOC) || name.startsWith('.discard.');
}

function isAscending(relocations: readonly Relocation[]): boolean {
  let last = 0;
  for (const { r_offset } of relocations) {
    if (r_offset < last) return false;
    last = r_offset;
  }
  return true;
}

/** @returns index of the first relocation at or behind `offset` */
export function firstFrom(relocations: readonly Relocation[], offset: number): number {
  let low = 0;
  let high = relocations.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((relocations[middle]?.r_offset ?? 0) < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
