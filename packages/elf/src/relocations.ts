import { KstitchError } from '@kstitch/report/error';
import { ByteReader } from './byte-reader.ts';
import { ET, hasFlag, SHF, SHT, sizeOf } from './constants.ts';
import type { ElfFile, Relocation, Section } from './model.ts';

/**
 * Decodes one `SHT_RELA` section that refers to the symbol table (gABI chapter 4, "Relocation").
 *
 * @param section - a section of `file`
 * @returns the relocations in the file's order. In an executable, where the file holds addresses, `r_offset` has the
 *   target's `sh_addr` subtracted, so that it always counts from the start of the target section
 * @throws KstitchError - `elf-unsupported` for `SHT_REL` and for dynamic relocations, `elf-malformed` for a symbol or
 *   an offset that is not there
 */
export function readRelocations(file: ElfFile, section: Section): Relocation[] {
  const shown = `relocations of section ${section.index} '${section.name}' of '${file.what}'`;
  const target = checkRelocationSection(file, section, shown);

  const little = file.header.byteOrder === 'little';
  // By e_type, not by sh_addr: `ld -r` with a linker script gives sections of a module addresses that mean nothing.
  const relocatable = file.header.e_type === ET.REL;
  const view = new DataView(section.bytes.buffer, section.bytes.byteOffset, section.bytes.byteLength);
  const count = section.bytes.length / sizeOf.Rela;
  const symbolCount = Math.max(file.symbols.length, 1);
  const size = uncompressedSize(file, target);
  const [low, high] = little ? [0, 4] : [4, 0];
  const relocations = new Array<Relocation>(count);
  for (let index = 0; index < count; index++) {
    const at = index * sizeOf.Rela;
    const r_offset = relocatable
      ? view.getUint32(at + high, little) * 2 ** 32 + view.getUint32(at + low, little)
      : Number(view.getBigUint64(at, little) - target.sh_addr);
    const r_type = view.getUint32(at + 8 + low, little);
    const r_sym = view.getUint32(at + 8 + high, little);
    // An offset just behind the section is one that has no field, such as R_X86_64_NONE on an empty section.
    if (!(r_offset >= 0 && r_offset <= size)) {
      throw new KstitchError(
        'elf-malformed',
        `cannot read ${shown}: entry ${index} is at byte ${r_offset} of '${target.name}', ` +
          `which has ${size} bytes`,
      );
    }
    if (r_sym >= symbolCount) {
      throw new KstitchError(
        'elf-malformed',
        `cannot read ${shown}: entry ${index} refers to symbol ${r_sym}, the file has ${file.symbols.length} symbols`,
      );
    }
    relocations[index] = { r_offset, r_type, r_sym, r_addend: view.getBigInt64(at + 16, little) };
  }
  return relocations;
}

function checkRelocationSection(file: ElfFile, section: Section, shown: string): Section {
  const fail = (code: 'elf-unsupported' | 'elf-malformed', problem: string) =>
    new KstitchError(code, `cannot read ${shown}: ${problem}`);
  if (section.sh_type === SHT.REL) throw fail('elf-unsupported', 'SHT_REL, only SHT_RELA is supported');
  if (section.sh_type !== SHT.RELA)
    throw fail('elf-malformed', `sh_type is ${section.sh_type}, not SHT_RELA`);
  if (section.sh_entsize !== sizeOf.Rela) {
    throw fail('elf-malformed', `sh_entsize is ${section.sh_entsize}, entries have ${sizeOf.Rela} bytes`);
  }
  if (section.sh_size % sizeOf.Rela !== 0) {
    throw fail('elf-malformed', `sh_size is ${section.sh_size}, not a multiple of ${sizeOf.Rela}`);
  }
  if (!refersToSymbolTable(file, section)) {
    throw fail('elf-unsupported', `sh_link ${section.sh_link} is not the symbol table (dynamic relocations)`);
  }
  const target = file.sections[section.sh_info];
  if (target === undefined || section.sh_info === 0) {
    throw fail('elf-malformed', `sh_info ${section.sh_info} names no section to relocate`);
  }
  return target;
}

/** Relocations count from the start of what was compressed (gABI chapter 4, "Section Compression", `Elf64_Chdr`). */
function uncompressedSize(file: ElfFile, { sh_flags, sh_size, bytes, name }: Section): number {
  if (!hasFlag(sh_flags, SHF.COMPRESSED)) return sh_size;
  const where = `the compression header of section '${name}' of '${file.what}'`;
  return new ByteReader(bytes, file.header.byteOrder, where).quantity(8, 'ch_size');
}

/**
 * @param section - a `SHT_RELA` section of `file`
 * @returns whether its entries index {@link ElfFile.symbols}; false of the dynamic relocations of an executable
 */
export function refersToSymbolTable(file: ElfFile, section: Section): boolean {
  return file.sections[section.sh_link]?.sh_type === SHT.SYMTAB;
}

/**
 * Which sections relocate which. A livepatch module has several for one target: the usual one and one `.klp.rela.*`
 * for each object that is patched.
 *
 * @returns target section index → its relocation sections in the file's order, `SHT_REL` included (which
 *   {@link readRelocations} then refuses)
 */
export function relocationSectionsOf(file: ElfFile): Map<number, Section[]> {
  const byTarget = new Map<number, Section[]>();
  for (const section of file.sections) {
    if (section.sh_type !== SHT.RELA && section.sh_type !== SHT.REL) continue;
    // Dynamic relocations of an executable belong to no section.
    if (section.sh_info === 0 || !refersToSymbolTable(file, section)) continue;
    const known = byTarget.get(section.sh_info);
    if (known === undefined) byTarget.set(section.sh_info, [section]);
    else known.push(section);
  }
  return byTarget;
}
