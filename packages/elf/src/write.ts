/**
 * Builder → bytes, in two phases: lay out, then write.
 *
 * First everything gets its number (sections, symbols, names) and its place; with these known the size of the file
 * is known, and the second phase fills it in one pass. The same builder always gives the same bytes.
 *
 * A relocatable object is the ELF header, the sections in their order, each at its alignment, the section headers. An
 * executable starts with its image instead: what segments cover stays where it was, the other sections follow.
 */
import { KstitchError } from '@kstitch/report/error';
import { checkGroups } from './check-groups.ts';
import { ET, PN_XNUM, SHN, SHT, sizeOf } from './constants.ts';
import { encodeElfHeader, encodeSectionHeader, type SectionHeader } from './encode-headers.ts';
import { encodeExtendedIndices, encodeGroup, encodeRelocations, encodeSymbols } from './encode-tables.ts';
import { limits } from './limits.ts';
import { type Numbering, numberObject } from './numbering.ts';
import type {
  BuilderHeader,
  BuilderSection,
  FilePlace,
  GeneratedTable,
  ObjectBuilder,
} from './object-builder.ts';
import { type BuiltStringTable, buildStringTable } from './string-table-builder.ts';

/**
 * @returns the whole file
 * @throws KstitchError - `elf-not-encodable` for references to what was removed and for values that do not fit their
 *   field, `elf-too-large`
 */
export function writeElf(builder: ObjectBuilder): Uint8Array {
  // Phase one. Ids become indices; from here on nothing is added.
  const numbering = numberObject(builder);
  checkGroups(builder.header, numbering);

  // Names get their offsets, which fixes the sizes of the last contents that were open.
  const names = buildNames(numbering);

  // Every size is known now: places can be given out.
  const layout = layOut(builder, numbering, names);

  // Phase two. Places are fixed; contents, then headers are written into them.
  const bytes = new Uint8Array(layout.fileSize);
  if (builder.image !== undefined) bytes.set(builder.image.bytes);
  const little = builder.header.byteOrder === 'little';
  for (const [position, section] of numbering.sections.entries()) {
    const place = layout.places[position];
    if (place !== undefined) writeContent(builder.header, section, numbering, names, partOf(bytes, place));
  }
  writeHeaders(builder, numbering, names, layout, bytes, little);
  return bytes;
}

interface Names {
  readonly symbols: BuiltStringTable;
  readonly sections: BuiltStringTable;
}

function buildNames(numbering: Numbering): Names {
  const symbolNames = numbering.symbols.map(({ name }) => name);
  const sectionNames = numbering.sections.map(({ name }) => name);
  if (numbering.tableIndex('all-names') !== 0) {
    const all = buildStringTable([...symbolNames, ...sectionNames]);
    return { symbols: all, sections: all };
  }
  return { symbols: buildStringTable(symbolNames), sections: buildStringTable(sectionNames) };
}

interface Layout {
  /** One for each of the sections, in their order; nothing of `SHT_NOBITS`. */
  readonly places: readonly FilePlace[];
  /** Offset of the section headers; 0 without sections. */
  readonly e_shoff: number;
  readonly fileSize: number;
}

function layOut(builder: ObjectBuilder, numbering: Numbering, names: Names): Layout {
  const { image } = builder;
  let end = image === undefined ? sizeOf.Ehdr : image.bytes.length;
  const places = numbering.sections.map((section): FilePlace => {
    const size = fileSizeOf(section, numbering, names);
    if (section.pinned !== undefined) return pinnedPlace(section, section.pinned, size);
    const offset = alignUp(end, checkedAlignment(section));
    end = offset + size;
    if (end > limits.writtenFile) throw tooLarge(section, end);
    return { offset, size };
  });
  if (places.length === 0) return { places, e_shoff: 0, fileSize: end };
  const e_shoff = alignUp(end, 8);
  return { places, e_shoff, fileSize: e_shoff + (places.length + 1) * sizeOf.Shdr };
}

function pinnedPlace({ name, content }: BuilderSection, pinned: FilePlace, size: number): FilePlace {
  if (content.kind === 'nobits' || size === pinned.size) return { offset: pinned.offset, size };
  throw new KstitchError(
    'elf-not-encodable',
    `cannot write section '${name}': it has ${size} bytes, its place in the executable has ${pinned.size}`,
  );
}

function fileSizeOf({ content }: BuilderSection, numbering: Numbering, names: Names): number {
  switch (content.kind) {
    case 'bytes':
      return content.bytes.length;
    case 'nobits':
      return 0;
    case 'relocations':
      return content.entries.length * sizeOf.Rela;
    case 'group':
      return (1 + content.members.length) * sizeOf.Word;
    case 'generated':
      return tableSizeOf(content.table, numbering, names);
  }
}

function tableSizeOf(table: GeneratedTable, numbering: Numbering, names: Names): number {
  switch (table) {
    case 'symbols':
      return (1 + numbering.symbols.length) * sizeOf.Sym;
    case 'extended-indices':
      return (1 + numbering.symbols.length) * sizeOf.Word;
    case 'symbol-names':
    case 'all-names':
      return names.symbols.bytes.length;
    case 'section-names':
      return names.sections.bytes.length;
  }
}

function writeContent(
  header: BuilderHeader,
  section: BuilderSection,
  numbering: Numbering,
  names: Names,
  part: Uint8Array,
): void {
  const { content } = section;
  const little = header.byteOrder === 'little';
  const view = new DataView(part.buffer, part.byteOffset, part.byteLength);
  switch (content.kind) {
    case 'bytes':
      part.set(content.bytes);
      return;
    case 'nobits':
      return;
    case 'relocations':
      encodeRelocations(view, section, content, numbering, little, header.e_type === ET.REL);
      return;
    case 'group':
      encodeGroup(view, section, content, numbering, little);
      return;
    case 'generated':
      switch (content.table) {
        case 'symbols':
          encodeSymbols(view, numbering, names.symbols.offsets, little);
          return;
        case 'extended-indices':
          encodeExtendedIndices(view, numbering, little);
          return;
        case 'symbol-names':
        case 'all-names':
          part.set(names.symbols.bytes);
          return;
        case 'section-names':
          part.set(names.sections.bytes);
          return;
      }
  }
}

function writeHeaders(
  builder: ObjectBuilder,
  numbering: Numbering,
  names: Names,
  layout: Layout,
  bytes: Uint8Array,
  little: boolean,
): void {
  const { sections } = numbering;
  const { e_shoff, places } = layout;
  const e_shnum = sections.length === 0 ? 0 : sections.length + 1;
  const e_shstrndx = numbering.tableIndex('section-names') || numbering.tableIndex('all-names');
  const e_phnum = builder.image?.segments.length ?? 0;
  encodeElfHeader(new DataView(bytes.buffer, 0, sizeOf.Ehdr), builder.header, {
    e_phoff: builder.image?.e_phoff ?? 0,
    e_shoff,
    e_phnum: Math.min(e_phnum, PN_XNUM),
    e_shnum: e_shnum < SHN.LORESERVE ? e_shnum : 0,
    e_shstrndx: e_shstrndx < SHN.LORESERVE ? e_shstrndx : SHN.XINDEX,
  });
  if (e_shnum === 0) return;

  const view = new DataView(bytes.buffer, e_shoff, e_shnum * sizeOf.Shdr);
  // Section header 0 carries the counts that do not fit the ELF header.
  encodeSectionHeader(view, 0, little, {
    ...nullHeader,
    sh_size: e_shnum < SHN.LORESERVE ? 0 : e_shnum,
    sh_link: e_shstrndx < SHN.LORESERVE ? 0 : e_shstrndx,
    sh_info: e_phnum < PN_XNUM ? 0 : e_phnum,
  });
  for (const [position, section] of sections.entries()) {
    const place = places[position];
    if (place === undefined) continue;
    encodeSectionHeader(view, position + 1, little, {
      sh_name: names.sections.offsets.get(section.name) ?? 0,
      sh_type: section.sh_type,
      sh_flags: section.sh_flags,
      sh_addr: section.sh_addr,
      sh_offset: place.offset,
      sh_size: section.content.kind === 'nobits' ? section.content.size : place.size,
      ...linksOf(section, numbering),
      sh_addralign: section.sh_addralign,
      sh_entsize: section.sh_entsize,
    });
  }
}

const nullHeader: SectionHeader = {
  sh_name: 0,
  sh_type: SHT.NULL,
  sh_flags: 0,
  sh_addr: 0n,
  sh_offset: 0,
  sh_size: 0,
  sh_link: 0,
  sh_info: 0,
  sh_addralign: 0,
  sh_entsize: 0,
};

type Links = Pick<SectionHeader, 'sh_link' | 'sh_info'>;

/** gABI chapter 4, "sh_link and sh_info Interpretation". */
function linksOf(section: BuilderSection, numbering: Numbering): Links {
  const { content, link, info } = section;
  const user = () => `section '${section.name}'`;
  switch (content.kind) {
    case 'bytes':
    case 'nobits':
      return {
        sh_link: link === undefined ? 0 : numbering.sectionIndex(link, user),
        sh_info: typeof info === 'number' ? info : numbering.sectionIndex(info.section, user),
      };
    case 'relocations':
      return {
        sh_link: numbering.tableIndex('symbols'),
        sh_info: numbering.sectionIndex(content.target, user),
      };
    case 'group':
      return {
        sh_link: numbering.tableIndex('symbols'),
        sh_info: numbering.symbolIndex(content.signature, user),
      };
    case 'generated':
      return tableLinksOf(content.table, numbering);
  }
}

function tableLinksOf(table: GeneratedTable, numbering: Numbering): Links {
  switch (table) {
    case 'symbols':
      return {
        sh_link: numbering.tableIndex('symbol-names') || numbering.tableIndex('all-names'),
        sh_info: numbering.firstGlobal,
      };
    case 'extended-indices':
      return { sh_link: numbering.tableIndex('symbols'), sh_info: 0 };
    case 'symbol-names':
    case 'section-names':
    case 'all-names':
      return { sh_link: 0, sh_info: 0 };
  }
}

function checkedAlignment({ name, sh_addralign }: BuilderSection): number {
  if (sh_addralign === 0) return 1;
  if (Number.isInteger(sh_addralign) && 2 ** Math.round(Math.log2(sh_addralign)) === sh_addralign) {
    return sh_addralign;
  }
  throw new KstitchError(
    'elf-not-encodable',
    `cannot write section '${name}': sh_addralign ${sh_addralign} is not a power of two`,
  );
}

function alignUp(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}

function partOf(bytes: Uint8Array, { offset, size }: FilePlace): Uint8Array {
  return bytes.subarray(offset, offset + size);
}

function tooLarge({ name }: BuilderSection, size: number): KstitchError {
  return new KstitchError(
    'elf-too-large',
    `cannot write section '${name}': the file would have ${size} bytes, at most ${limits.writtenFile} are supported`,
  );
}
