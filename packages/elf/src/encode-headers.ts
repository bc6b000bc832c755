import { KstitchError } from '@kstitch/report/error';
import { EI, ELFCLASS, ELFDATA, EV, sizeOf } from './constants.ts';
import type { BuilderHeader } from './object-builder.ts';

/** The parts of the ELF header that the writer computes, as they stand in the file. */
export interface ComputedHeader {
  readonly e_phoff: number;
  readonly e_shoff: number;
  readonly e_phnum: number;
  readonly e_shnum: number;
  readonly e_shstrndx: number;
}

/** gABI chapter 4, "ELF Header"; `view` covers it. */
export function encodeElfHeader(view: DataView, header: BuilderHeader, computed: ComputedHeader): void {
  const little = header.byteOrder === 'little';
  view.setUint32(0, 0x7f454c46);
  view.setUint8(EI.CLASS, ELFCLASS.ELF64);
  view.setUint8(EI.DATA, little ? ELFDATA.LSB : ELFDATA.MSB);
  view.setUint8(EI.VERSION, EV.CURRENT);
  view.setUint8(EI.OSABI, header.osAbi);
  view.setUint8(EI.ABIVERSION, header.abiVersion);
  view.setUint16(16, header.e_type, little);
  view.setUint16(18, header.e_machine, little);
  view.setUint32(20, header.e_version, little);
  view.setBigUint64(24, header.e_entry, little);
  setQuantity(view, 32, computed.e_phoff, little, 'e_phoff');
  setQuantity(view, 40, computed.e_shoff, little, 'e_shoff');
  view.setUint32(48, header.e_flags, little);
  view.setUint16(52, sizeOf.Ehdr, little);
  view.setUint16(54, computed.e_phnum === 0 ? 0 : sizeOf.Phdr, little);
  view.setUint16(56, computed.e_phnum, little);
  view.setUint16(58, sizeOf.Shdr, little);
  view.setUint16(60, computed.e_shnum, little);
  view.setUint16(62, computed.e_shstrndx, little);
}

export interface SectionHeader {
  readonly sh_name: number;
  readonly sh_type: number;
  readonly sh_flags: number;
  readonly sh_addr: bigint;
  readonly sh_offset: number;
  readonly sh_size: number;
  readonly sh_link: number;
  readonly sh_info: number;
  readonly sh_addralign: number;
  readonly sh_entsize: number;
}

/**
 * gABI chapter 4, "Section Header".
 *
 * @param view - the whole section header table
 * @throws KstitchError - `elf-not-encodable` for a quantity that is negative or not exact
 */
export function encodeSectionHeader(
  view: DataView,
  index: number,
  little: boolean,
  header: SectionHeader,
): void {
  const at = index * sizeOf.Shdr;
  const where = (field: string) => `${field} of section header ${index}`;
  view.setUint32(at, header.sh_name, little);
  view.setUint32(at + 4, header.sh_type, little);
  setQuantity(view, at + 8, header.sh_flags, little, where('sh_flags'));
  view.setBigUint64(at + 16, header.sh_addr, little);
  setQuantity(view, at + 24, header.sh_offset, little, where('sh_offset'));
  setQuantity(view, at + 32, header.sh_size, little, where('sh_size'));
  view.setUint32(at + 40, header.sh_link, little);
  view.setUint32(at + 44, header.sh_info, little);
  setQuantity(view, at + 48, header.sh_addralign, little, where('sh_addralign'));
  setQuantity(view, at + 56, header.sh_entsize, little, where('sh_entsize'));
}

function setQuantity(view: DataView, at: number, value: number, little: boolean, field: string): void {
  if (!(Number.isSafeInteger(value) && value >= 0)) {
    throw new KstitchError(
      'elf-not-encodable',
      `cannot write ${field}: ${value} is not a whole number from 0 to 2^53 - 1`,
    );
  }
  view.setUint32(at + (little ? 0 : 4), value % 2 ** 32, little);
  view.setUint32(at + (little ? 4 : 0), Math.floor(value / 2 ** 32), little);
}
