/**
 * Bytes → read model ({@link ElfFile}).
 *
 * Everything that other code follows without looking is checked here, once: that headers have the sizes of ELF64, that
 * tables and sections lie in the file, that names end, that `sh_link` and `sh_info` name sections, that symbols name
 * sections. Nothing is copied, so reading an image of 50 MB costs as much as its headers.
 *
 * Sources: gABI chapters 4 and 5; for extended numbering (`SHN_XINDEX`, `PN_XNUM`) the text on section header 0.
 */
import { KstitchError } from '@kstitch/report/error';
import { ByteReader } from './byte-reader.ts';
import { EI, ELFCLASS, ELFDATA, EV, hasFlag, PN_XNUM, SHF, SHN, SHT, sizeOf } from './constants.ts';
import type { ElfFile, ElfHeader, Section, Segment } from './model.ts';
import { readSymbols } from './read-symbols.ts';
import { StringTable } from './string-table.ts';

/**
 * @param bytes - a whole ELF64 file; bytes behind it (a module's signature) do no harm
 * @param what - its name, for messages
 * @throws KstitchError - `elf-foreign`, `elf-class`, `elf-truncated`, `elf-malformed`, `elf-too-large`
 */
export function readElf(bytes: Uint8Array, what: string): ElfFile {
  // The first 16 bytes say how to read the rest.
  const reader = openReader(bytes, what);

  // Counts that overflow their 16 bits stand in section header 0.
  const tables = readTablePlaces(reader, what);
  const header = readHeader(reader, tables, what);
  const segments = readSegments(reader, tables, what);
  const sections = readSections(reader, tables, what);

  // Beyond this point every section's contents lie in the file and every link names a section.
  const symbols = readSymbols(sections, header.byteOrder, what);
  return { what, header, segments, sections, symbols, bytes };
}

function openReader(bytes: Uint8Array, what: string): ByteReader {
  const quoted = `'${what}'`;
  const ident = new ByteReader(bytes, 'little', quoted).range(0, EI.NIDENT, 'e_ident');
  if (ident[0] !== 0x7f || ident[1] !== 0x45 || ident[2] !== 0x4c || ident[3] !== 0x46) {
    const start = Buffer.from(ident.subarray(0, 4))
      .toString('hex')
      .replaceAll(/..(?=.)/g, '$& ');
    throw new KstitchError(
      'elf-foreign',
      `cannot read ${quoted} as ELF: it begins with ${start}, not 7f 45 4c 46`,
    );
  }
  if (ident[EI.CLASS] !== ELFCLASS.ELF64) {
    const shown = ident[EI.CLASS] === ELFCLASS.ELF32 ? 'ELFCLASS32' : `class ${ident[EI.CLASS]}`;
    throw new KstitchError(
      'elf-class',
      `cannot read ${quoted}: ${shown}, only 64-bit ELF files are supported`,
    );
  }
  const data = ident[EI.DATA];
  if (data !== ELFDATA.LSB && data !== ELFDATA.MSB) {
    throw new KstitchError(
      'elf-class',
      `cannot read ${quoted}: byte order ${data} is neither little- nor big-endian`,
    );
  }
  return new ByteReader(bytes, data === ELFDATA.LSB ? 'little' : 'big', quoted);
}

function readHeader(reader: ByteReader, tables: TablePlaces, what: string): ElfHeader {
  const view = reader.view(0, sizeOf.Ehdr, 'the ELF header');
  const little = reader.littleEndian;
  const e_version = view.getUint32(20, little);
  expect(what, 'e_ident[EI_VERSION]', view.getUint8(EI.VERSION), EV.CURRENT);
  expect(what, 'e_version', e_version, EV.CURRENT);
  expect(what, 'e_ehsize', view.getUint16(52, little), sizeOf.Ehdr);
  return {
    byteOrder: reader.byteOrder,
    osAbi: view.getUint8(EI.OSABI),
    abiVersion: view.getUint8(EI.ABIVERSION),
    e_type: view.getUint16(16, little),
    e_machine: view.getUint16(18, little),
    e_version,
    e_entry: view.getBigUint64(24, little),
    e_flags: view.getUint32(48, little),
    e_phoff: tables.phoff,
    e_shstrndx: tables.shstrndx,
  };
}

/** Where the two tables are and how many entries they have, extended numbering resolved. */
interface TablePlaces {
  readonly phoff: number;
  readonly phnum: number;
  readonly shoff: number;
  readonly shnum: number;
  readonly shstrndx: number;
}

function readTablePlaces(reader: ByteReader, what: string): TablePlaces {
  reader.range(0, sizeOf.Ehdr, 'the ELF header');
  const phoff = reader.quantity(32, 'e_phoff');
  const shoff = reader.quantity(40, 'e_shoff');
  let phnum = reader.u16(56, 'e_phnum');
  let shnum = reader.u16(60, 'e_shnum');
  let shstrndx = reader.u16(62, 'e_shstrndx');
  if (shoff !== 0) {
    expect(what, 'e_shentsize', reader.u16(58, 'e_shentsize'), sizeOf.Shdr);
    // e_shnum = 0 with a table means "see section header 0"; so do the other two's largest values.
    reader.range(shoff, sizeOf.Shdr, 'section header 0');
    if (shnum === 0) shnum = reader.quantity(shoff + 32, 'sh_size of section header 0');
    if (shstrndx === SHN.XINDEX) shstrndx = reader.u32(shoff + 40, 'sh_link of section header 0');
    if (phnum === PN_XNUM) phnum = reader.u32(shoff + 44, 'sh_info of section header 0');
  } else if (shnum !== 0) {
    throw malformed(what, `e_shoff is 0 but e_shnum is ${shnum}`);
  }
  if (phnum !== 0) expect(what, 'e_phentsize', reader.u16(54, 'e_phentsize'), sizeOf.Phdr);
  if (shnum !== 0 && shstrndx >= shnum) {
    throw malformed(what, `e_shstrndx is ${shstrndx}, the file has ${shnum} sections`);
  }
  return { phoff, phnum, shoff, shnum, shstrndx: shnum === 0 ? SHN.UNDEF : shstrndx };
}

function readSegments(reader: ByteReader, { phoff, phnum }: TablePlaces, what: string): Segment[] {
  if (phnum === 0) return [];
  const table = reader.part(phoff, phnum * sizeOf.Phdr, `program header table of '${what}'`);
  return Array.from({ length: phnum }, (_, index) => {
    const at = index * sizeOf.Phdr;
    const p_offset = table.quantity(at + 8, `p_offset of program header ${index}`);
    const p_filesz = table.quantity(at + 32, `p_filesz of program header ${index}`);
    reader.range(p_offset, p_filesz, () => `segment ${index}`);
    return {
      p_type: table.u32(at, 'p_type'),
      p_flags: table.u32(at + 4, 'p_flags'),
      p_offset,
      p_vaddr: table.u64(at + 16, 'p_vaddr'),
      p_paddr: table.u64(at + 24, 'p_paddr'),
      p_filesz,
      p_memsz: table.u64(at + 40, 'p_memsz'),
      p_align: table.u64(at + 48, 'p_align'),
    };
  });
}

function readSections(reader: ByteReader, places: TablePlaces, what: string): Section[] {
  const { shoff, shnum, shstrndx } = places;
  if (shnum === 0) return [];
  const table = reader.part(shoff, shnum * sizeOf.Shdr, `section header table of '${what}'`);

  // Names first: every later message quotes them.
  const names = readSectionNames(reader, table, shstrndx, what);

  return Array.from({ length: shnum }, (_, index): Section => {
    const at = index * sizeOf.Shdr;
    const field = (name: string) => () => `${name} of section header ${index}`;
    const name = names.nameAt(table.u32(at, 'sh_name'), field('sh_name'));
    const sh_type = table.u32(at + 4, 'sh_type');
    const section = {
      index,
      name,
      sh_type,
      sh_flags: table.quantity(at + 8, field('sh_flags')),
      sh_addr: table.u64(at + 16, 'sh_addr'),
      sh_offset: table.quantity(at + 24, field('sh_offset')),
      sh_size: table.quantity(at + 32, field('sh_size')),
      sh_link: table.u32(at + 40, 'sh_link'),
      sh_info: table.u32(at + 44, 'sh_info'),
      sh_addralign: table.quantity(at + 48, field('sh_addralign')),
      sh_entsize: table.quantity(at + 56, field('sh_entsize')),
    };
    // Section header 0 is not a section: its size, link and info belong to extended numbering.
    if (index === 0) return { ...section, bytes: noBytes };
    checkLinks(section, shnum, what);
    const bytes =
      sh_type === SHT.NULL || sh_type === SHT.NOBITS
        ? noBytes
        : reader.range(section.sh_offset, section.sh_size, () => `section ${index} '${name}'`);
    return { ...section, bytes };
  });
}

const noBytes = new Uint8Array(0);

function readSectionNames(
  reader: ByteReader,
  table: ByteReader,
  shstrndx: number,
  what: string,
): StringTable | NoNames {
  if (shstrndx === SHN.UNDEF) return noNames;
  const at = shstrndx * sizeOf.Shdr;
  const where = `section header ${shstrndx}, the section names`;
  const sh_type = table.u32(at + 4, 'sh_type');
  if (sh_type !== SHT.STRTAB) {
    throw malformed(what, `e_shstrndx is ${shstrndx}, which is of type ${sh_type} and not SHT_STRTAB`);
  }
  const offset = table.quantity(at + 24, `sh_offset of ${where}`);
  const size = table.quantity(at + 32, `sh_size of ${where}`);
  return new StringTable(reader.range(offset, size, where), what);
}

type NoNames = Pick<StringTable, 'nameAt'>;

/** `e_shstrndx` = `SHN_UNDEF`: the sections have no names. */
const noNames: NoNames = { nameAt: () => '' };

function checkLinks(section: Omit<Section, 'bytes'>, shnum: number, what: string): void {
  const { index, name, sh_type, sh_link, sh_info, sh_addralign } = section;
  const bad = (field: string, value: number) =>
    malformed(what, `${field} of section ${index} '${name}' is ${value}, the file has ${shnum} sections`);
  if (sh_link >= shnum) throw bad('sh_link', sh_link);
  const infoIsSection =
    sh_type === SHT.RELA || sh_type === SHT.REL || hasFlag(section.sh_flags, SHF.INFO_LINK);
  if (infoIsSection && sh_info >= shnum) throw bad('sh_info', sh_info);
  if (!isPowerOfTwoOrZero(sh_addralign)) {
    throw malformed(
      what,
      `sh_addralign of section ${index} '${name}' is ${sh_addralign}, not a power of two`,
    );
  }
}

function isPowerOfTwoOrZero(value: number): boolean {
  return value === 0 || 2 ** Math.round(Math.log2(value)) === value;
}

function expect(what: string, field: string, value: number, expected: number): void {
  if (value !== expected) throw malformed(what, `${field} is ${value}, not ${expected}`);
}

function malformed(what: string, problem: string): KstitchError {
  return new KstitchError('elf-malformed', `cannot read '${what}': ${problem}`);
}
