import { KstitchError } from '@kstitch/report/error';
import { SHT, sizeOf } from './constants.ts';
import type { ElfFile, ElfSymbol, Section } from './model.ts';

/** Sections that a linker keeps or drops together (gABI chapter 4, "Section Groups"). */
export interface SectionGroup {
  /** The `SHT_GROUP` section that says so. */
  readonly section: Section;
  /** `GRP_*` */
  readonly flags: number;
  /** Its name identifies the group: of several `GRP_COMDAT` groups with one name a linker keeps one. */
  readonly signature: ElfSymbol;
  readonly members: readonly Section[];
}

/**
 * @returns the section groups in the file's order
 * @throws KstitchError - `elf-malformed`
 */
export function readGroups(file: ElfFile): SectionGroup[] {
  return file.sections
    .filter(section => section.sh_type === SHT.GROUP)
    .map(section => readGroup(file, section));
}

/**
 * @param section - a `SHT_GROUP` section of `file`
 * @throws KstitchError - `elf-malformed`
 */
export function readGroup(file: ElfFile, section: Section): SectionGroup {
  const fail = (problem: string) =>
    new KstitchError(
      'elf-malformed',
      `cannot read section group ${section.index} '${section.name}' of '${file.what}': ${problem}`,
    );
  if (section.sh_size < sizeOf.Word || section.sh_size % sizeOf.Word !== 0) {
    throw fail(`sh_size is ${section.sh_size}, not a multiple of ${sizeOf.Word} with at least one word`);
  }
  if (file.sections[section.sh_link]?.sh_type !== SHT.SYMTAB) {
    throw fail(`sh_link ${section.sh_link} is not the symbol table`);
  }
  const signature = file.symbols[section.sh_info];
  if (signature === undefined) {
    throw fail(`its signature is symbol ${section.sh_info}, the file has ${file.symbols.length} symbols`);
  }

  const little = file.header.byteOrder === 'little';
  const view = new DataView(section.bytes.buffer, section.bytes.byteOffset, section.bytes.byteLength);
  const members: Section[] = [];
  for (let at = sizeOf.Word; at < section.sh_size; at += sizeOf.Word) {
    const index = view.getUint32(at, little);
    const member = file.sections[index];
    if (member === undefined || index === 0) {
      throw fail(`its member is section ${index}, the file has ${file.sections.length} sections`);
    }
    members.push(member);
  }
  return { section, flags: view.getUint32(0, little), signature, members };
}
