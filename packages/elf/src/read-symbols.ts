import { KstitchError } from '@kstitch/report/error';
import { SHN, SHT, sizeOf } from './constants.ts';
import type { ByteOrder, ElfSymbol, Section } from './model.ts';
import { StringTable } from './string-table.ts';

/**
 * Decodes the `SHT_SYMTAB` section (gABI chapter 4, "Symbol Table").
 *
 * @param sections - all sections, links checked
 * @param what - name of the file, for messages
 * @returns the symbols, entry 0 included; empty without a symbol table
 * @throws KstitchError - `elf-malformed`, `elf-unsupported` (two symbol tables), `elf-too-large`
 */
export function readSymbols(sections: readonly Section[], byteOrder: ByteOrder, what: string): ElfSymbol[] {
  const tables = sections.filter(section => section.sh_type === SHT.SYMTAB);
  const [table, second] = tables;
  if (table === undefined) return [];
  if (second !== undefined) {
    throw new KstitchError(
      'elf-unsupported',
      `cannot read '${what}': sections ${table.index} and ${second.index} are both symbol tables (SHT_SYMTAB)`,
    );
  }

  const fail = (problem: string) => new KstitchError('elf-malformed', `cannot read '${what}': ${problem}`);
  checkTable(table, fail);
  const count = table.bytes.length / sizeOf.Sym;
  const names = readNames(sections, table, what, fail);
  const extended = readExtendedIndices(sections, table, count, fail);

  const little = byteOrder === 'little';
  const view = new DataView(table.bytes.buffer, table.bytes.byteOffset, table.bytes.byteLength);
  const symbols = new Array<ElfSymbol>(count);
  for (let index = 0; index < count; index++) {
    const at = index * sizeOf.Sym;
    const info = view.getUint8(at + 4);
    const raw = view.getUint16(at + 6, little);
    let st_shndx = raw;
    let section: Section | undefined;
    if (raw === SHN.XINDEX) {
      if (extended === undefined) {
        throw fail(`st_shndx of symbol ${index} is SHN_XINDEX, but there is no SHT_SYMTAB_SHNDX section`);
      }
      st_shndx = extended.getUint32(index * sizeOf.Word, little);
    }
    if (st_shndx !== SHN.UNDEF && (raw < SHN.LORESERVE || raw === SHN.XINDEX)) {
      section = sections[st_shndx];
      if (section === undefined) {
        throw fail(`st_shndx of symbol ${index} is ${st_shndx}, the file has ${sections.length} sections`);
      }
    }
    symbols[index] = {
      index,
      name: names.nameAt(view.getUint32(at, little), () => `st_name of symbol ${index}`),
      st_value: view.getBigUint64(at + 8, little),
      st_size: view.getBigUint64(at + 16, little),
      bind: info >> 4,
      type: info & 0xf,
      st_other: view.getUint8(at + 5),
      st_shndx,
      section,
    };
  }
  return symbols;
}

type Fail = (problem: string) => KstitchError;

function checkTable(table: Section, fail: Fail): void {
  const shown = `section ${table.index} '${table.name}'`;
  if (table.sh_entsize !== sizeOf.Sym) {
    throw fail(`sh_entsize of ${shown} is ${table.sh_entsize}, symbols have ${sizeOf.Sym} bytes`);
  }
  if (table.sh_size % sizeOf.Sym !== 0) {
    throw fail(`sh_size of ${shown} is ${table.sh_size}, not a multiple of ${sizeOf.Sym}`);
  }
  if (table.sh_info > table.sh_size / sizeOf.Sym) {
    throw fail(`sh_info of ${shown} is ${table.sh_info}, it has ${table.sh_size / sizeOf.Sym} symbols`);
  }
}

function readNames(sections: readonly Section[], table: Section, what: string, fail: Fail): StringTable {
  const strings = sections[table.sh_link];
  if (strings?.sh_type !== SHT.STRTAB) {
    throw fail(`sh_link of section ${table.index} '${table.name}' is ${table.sh_link}, not a string table`);
  }
  return new StringTable(strings.bytes, what);
}

function readExtendedIndices(
  sections: readonly Section[],
  table: Section,
  count: number,
  fail: Fail,
): DataView | undefined {
  const extended = sections.find(
    section => section.sh_type === SHT.SYMTAB_SHNDX && section.sh_link === table.index,
  );
  if (extended === undefined) return undefined;
  if (extended.sh_size !== count * sizeOf.Word) {
    throw fail(
      `sh_size of section ${extended.index} '${extended.name}' is ${extended.sh_size}, ` +
        `not ${sizeOf.Word} bytes for each of ${count} symbols`,
    );
  }
  return new DataView(extended.bytes.buffer, extended.bytes.byteOffset, extended.bytes.byteLength);
}
