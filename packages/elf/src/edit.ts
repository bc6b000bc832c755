import { KstitchError } from '@kstitch/report/error';
import { hasFlag, SHF, SHN, SHT, sizeOf } from './constants.ts';
import { readGroup } from './groups.ts';
import type { ElfFile, ElfSymbol, Section } from './model.ts';
import {
  type ExecutableImage,
  type GeneratedTable,
  ObjectBuilder,
  type SectionContent,
  type SectionId,
  type SymbolId,
  type SymbolPlace,
} from './object-builder.ts';
import { readRelocations, refersToSymbolTable } from './relocations.ts';

/** A file opened for changes, and where its sections and symbols went. */
export interface EditedElf {
  readonly builder: ObjectBuilder;
  /** Indexed by section header index; entry 0 is undefined. */
  readonly sectionIds: readonly (SectionId | undefined)[];
  /** Indexed by symbol index; entry 0 is undefined. */
  readonly symbolIds: readonly (SymbolId | undefined)[];
}

/**
 * Read model → builder. Written again without changes the file is the same, but for file offsets and the order of
 * its strings.
 *
 * Contents are views of the file's bytes. Of an executable, everything that its segments cover stays where it is.
 *
 * @throws KstitchError - `elf-unsupported` for what cannot be renumbered, `elf-malformed` for broken contents
 */
export function editElf(file: ElfFile): EditedElf {
  const image = imageOf(file);
  const builder = new ObjectBuilder(file.header, image);
  const tables = generatedTablesOf(file);

  // All sections before any content: contents refer to sections and symbols by id, whatever their order.
  const sectionIds: (SectionId | undefined)[] = file.sections.map(section => {
    if (section.index === 0) return undefined;
    return builder.addSection({
      name: section.name,
      sh_type: section.sh_type,
      sh_flags: section.sh_flags,
      sh_addr: section.sh_addr,
      sh_addralign: section.sh_addralign,
      sh_entsize: section.sh_entsize,
      content: noContent,
      pinned:
        image !== undefined && isCovered(section, image)
          ? { offset: section.sh_offset, size: section.bytes.length }
          : undefined,
    });
  });
  const idOf = (index: number, user: Section): SectionId => {
    const id = sectionIds[index];
    if (id !== undefined) return id;
    throw unsupported(file, user, `it refers to section ${index}`);
  };

  const symbolIds: (SymbolId | undefined)[] = file.symbols.map(symbol => {
    if (symbol.index === 0) return undefined;
    const { name, st_value, st_size, bind, type, st_other } = symbol;
    return builder.addSymbol({
      name,
      st_value,
      st_size,
      bind,
      type,
      st_other,
      place: placeOf(symbol, sectionIds),
    });
  });

  // Beyond this point no section or symbol is added: contents and links can name them.
  for (const section of file.sections) {
    const id = sectionIds[section.index];
    if (id === undefined) continue;
    const edited = builder.section(id);
    edited.content = contentOf(file, section, tables, idOf, symbolIds);
    if (edited.content.kind !== 'bytes' && edited.content.kind !== 'nobits') continue;
    if (section.sh_link !== 0) {
      // Whatever links to a table that is written anew may hold indices into it that nobody would correct.
      const table = tables.get(section.sh_link);
      if (table !== undefined) throw unsupported(file, section, `it refers to the ${table} table`);
      edited.link = idOf(section.sh_link, section);
    }
    edited.info =
      hasFlag(section.sh_flags, SHF.INFO_LINK) && section.sh_info !== 0
        ? { section: idOf(section.sh_info, section) }
        : section.sh_info;
  }
  return { builder, sectionIds, symbolIds };
}

const noContent: SectionContent = { kind: 'nobits', size: 0 };

function generatedTablesOf(file: ElfFile): Map<number, GeneratedTable> {
  const tables = new Map<number, GeneratedTable>();
  const symbols = file.sections.find(section => section.sh_type === SHT.SYMTAB);
  if (symbols !== undefined) {
    tables.set(symbols.index, 'symbols');
    tables.set(symbols.sh_link, 'symbol-names');
    const extended = file.sections.find(
      ({ sh_type, sh_link }) => sh_type === SHT.SYMTAB_SHNDX && sh_link === symbols.index,
    );
    if (extended !== undefined) tables.set(extended.index, 'extended-indices');
  }
  const names = file.header.e_shstrndx;
  if (names !== 0) tables.set(names, tables.has(names) ? 'all-names' : 'section-names');
  return tables;
}

function contentOf(
  file: ElfFile,
  section: Section,
  tables: ReadonlyMap<number, GeneratedTable>,
  idOf: (index: number, user: Section) => SectionId,
  symbolIds: readonly (SymbolId | undefined)[],
): SectionContent {
  const table = tables.get(section.index);
  if (table !== undefined) return { kind: 'generated', table };
  switch (section.sh_type) {
    case SHT.NOBITS:
      return { kind: 'nobits', size: section.sh_size };
    case SHT.GROUP: {
      const group = readGroup(file, section);
      const signature = symbolIds[group.signature.index];
      if (signature === undefined) throw unsupported(file, section, 'its signature is the null symbol');
      const members = group.members.map(member => idOf(member.index, section));
      return { kind: 'group', signature, flags: group.flags, members };
    }
    case SHT.REL:
    case SHT.RELA: {
      // Dynamic relocations of an executable are part of its image.
      if (file.segments.length > 0 && !refersToSymbolTable(file, section)) break;
      const target = idOf(section.sh_info, section);
      const entries = readRelocations(file, section).map(({ r_offset, r_type, r_sym, r_addend }) => ({
        r_offset,
        r_type,
        symbol: symbolIds[r_sym],
        r_addend,
      }));
      return { kind: 'relocations', target, entries };
    }
  }
  return { kind: 'bytes', bytes: section.bytes };
}

function placeOf(symbol: ElfSymbol, sectionIds: readonly (SectionId | undefined)[]): SymbolPlace {
  if (symbol.section !== undefined) {
    const id = sectionIds[symbol.section.index];
    if (id !== undefined) return id;
  }
  switch (symbol.st_shndx) {
    case SHN.UNDEF:
      return 'undefined';
    case SHN.ABS:
      return 'absolute';
    case SHN.COMMON:
      return 'common';
    case SHN.LIVEPATCH:
      return 'livepatch';
    default:
      return { st_shndx: symbol.st_shndx };
  }
}

function imageOf(file: ElfFile): ExecutableImage | undefined {
  if (file.segments.length === 0) return undefined;
  const { e_phoff } = file.header;
  let end = Math.max(sizeOf.Ehdr, e_phoff + file.segments.length * sizeOf.Phdr);
  for (const { p_offset, p_filesz } of file.segments) end = Math.max(end, p_offset + p_filesz);
  // Sections in memory keep their place too, whether a segment covers them or not.
  for (const section of file.sections) {
    if (isAllocated(section)) end = Math.max(end, section.sh_offset + section.bytes.length);
  }
  return { bytes: file.bytes.subarray(0, end), e_phoff, segments: file.segments };
}

function isAllocated({ sh_flags }: Section): boolean {
  return hasFlag(sh_flags, SHF.ALLOC);
}

/** @returns whether the section keeps its place: it is in memory, or within the image */
function isCovered(section: Section, image: ExecutableImage): boolean {
  if (isAllocated(section)) return true;
  const size = section.bytes.length;
  return image.segments.some(
    ({ p_offset, p_filesz }) =>
      size > 0 && section.sh_offset < p_offset + p_filesz && p_offset < section.sh_offset + size,
  );
}

function unsupported(file: ElfFile, section: Section, reason: string): KstitchError {
  return new KstitchError(
    'elf-unsupported',
    `cannot edit section ${section.index} '${section.name}' of type 0x${section.sh_type.toString(16)} ` +
      `of '${file.what}': ${reason}`,
  );
}
