/** Sections whose contents name other sections or symbols, written with the numbers these have in the file. */
import { KstitchError } from '@kstitch/report/error';
import { SHN, sizeOf } from './constants.ts';
import { type Numbering, placeIndex } from './numbering.ts';
import type { BuilderSection, SectionContent } from './object-builder.ts';

type ContentOf<Kind extends SectionContent['kind']> = Extract<SectionContent, { readonly kind: Kind }>;

/**
 * gABI chapter 4, "Symbol Table". Entry 0, the null symbol, stays zero.
 *
 * @throws KstitchError - `elf-not-encodable`
 */
export function encodeSymbols(
  view: DataView,
  numbering: Numbering,
  nameOffsets: ReadonlyMap<string, number>,
  little: boolean,
): void {
  for (const [position, symbol] of numbering.symbols.entries()) {
    const at = (position + 1) * sizeOf.Sym;
    const { name, st_value, st_size, bind, type, st_other } = symbol;
    const { index, extended } = placeIndex(symbol, numbering);
    const reserved = typeof symbol.place === 'object';
    if (
      !fitsUnsigned64(st_value) ||
      !fitsUnsigned64(st_size) ||
      !(bind >= 0 && bind <= 0xf && type >= 0 && type <= 0xf) ||
      (reserved && !(index >= SHN.LORESERVE && index < SHN.XINDEX))
    ) {
      throw new KstitchError(
        'elf-not-encodable',
        `cannot write symbol '${name}': a field does not fit ` +
          `(st_value ${st_value}, st_size ${st_size}, bind ${bind}, type ${type}, st_shndx ${index})`,
      );
    }
    view.setUint32(at, nameOffsets.get(name) ?? 0, little);
    view.setUint8(at + 4, (bind << 4) | type);
    view.setUint8(at + 5, st_other);
    view.setUint16(at + 6, extended ? SHN.XINDEX : index, little);
    view.setBigUint64(at + 8, st_value, little);
    view.setBigUint64(at + 16, st_size, little);
  }
}

/** gABI chapter 4, `SHT_SYMTAB_SHNDX`: a word for each symbol, 0 where `st_shndx` says it already. */
export function encodeExtendedIndices(view: DataView, numbering: Numbering, little: boolean): void {
  for (const [position, symbol] of numbering.symbols.entries()) {
    const { index, extended } = placeIndex(symbol, numbering);
    if (extended) view.setUint32((position + 1) * sizeOf.Word, index, little);
  }
}

/**
 * gABI chapter 4, "Relocation", `Elf64_Rela`.
 *
 * @param relocatable - whether the file is `ET_REL`
 * @throws KstitchError - `elf-not-encodable`
 */
export function encodeRelocations(
  view: DataView,
  section: BuilderSection,
  content: ContentOf<'relocations'>,
  numbering: Numbering,
  little: boolean,
  relocatable: boolean,
): void {
  const target = numbering.sections[numbering.sectionIndex(content.target, () => nameOf(section)) - 1];
  // In executables r_offset is an address; the builder counts from the start of the section.
  const base = relocatable ? 0n : (target?.sh_addr ?? 0n);
  const [low, high] = little ? [0, 4] : [4, 0];
  let at = 0;
  for (const { r_offset, r_type, symbol, r_addend } of content.entries) {
    if (
      !(Number.isSafeInteger(r_offset) && r_offset >= 0) ||
      !(Number.isInteger(r_type) && r_type >= 0 && r_type < 2 ** 32) ||
      BigInt.asIntN(64, r_addend) !== r_addend
    ) {
      throw new KstitchError(
        'elf-not-encodable',
        `cannot write relocation ${at / sizeOf.Rela} of ${nameOf(section)}: a field does not fit ` +
          `(r_offset ${r_offset}, r_type ${r_type}, r_addend ${r_addend})`,
      );
    }
    if (base === 0n) {
      view.setUint32(at + low, r_offset % 2 ** 32, little);
      view.setUint32(at + high, Math.floor(r_offset / 2 ** 32), little);
    } else {
      view.setBigUint64(at, base + BigInt(r_offset), little);
    }
    const index = symbol === undefined ? 0 : numbering.symbolIndex(symbol, () => nameOf(section));
    view.setUint32(at + 8 + low, r_type, little);
    view.setUint32(at + 8 + high, index, little);
    view.setBigInt64(at + 16, r_addend, little);
    at += sizeOf.Rela;
  }
}

/**
 * gABI chapter 4, "Section Groups".
 *
 * @throws KstitchError - `elf-not-encodable`
 */
export function encodeGroup(
  view: DataView,
  section: BuilderSection,
  content: ContentOf<'group'>,
  numbering: Numbering,
  little: boolean,
): void {
  view.setUint32(0, content.flags, little);
  for (const [position, member] of content.members.entries()) {
    const index = numbering.sectionIndex(member, () => nameOf(section));
    view.setUint32((position + 1) * sizeOf.Word, index, little);
  }
}

function fitsUnsigned64(value: bigint): boolean {
  return BigInt.asUintN(64, value) === value;
}

function nameOf({ name }: BuilderSection): string {
  return `section '${name}'`;
}
