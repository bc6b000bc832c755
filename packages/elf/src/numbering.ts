/**
 * Gives every section and symbol of a builder the number it has in the file to be written: which tables there are,
 * in which order sections stand, which symbols come first.
 */
import { KstitchError } from '@kstitch/report/error';
import { SHN, STB } from './constants.ts';
import {
  type BuilderSection,
  type BuilderSymbol,
  type GeneratedTable,
  ObjectBuilder,
  reservedPlaces,
  type SectionId,
  type SymbolId,
} from './object-builder.ts';

export interface Numbering {
  /** In the order of the file: the section at position 0 has index 1. */
  readonly sections: readonly BuilderSection[];
  /** Local symbols first: the symbol at position 0 has index 1. */
  readonly symbols: readonly BuilderSymbol[];
  /** Index of the first symbol that is not local, `sh_info` of the symbol table. */
  readonly firstGlobal: number;
  /**
   * @param user - who refers to it, for the message
   * @throws KstitchError - `elf-not-encodable` when the section was removed
   */
  sectionIndex(id: SectionId, user: () => string): number;
  /**
   * @param user - who refers to it, for the message
   * @throws KstitchError - `elf-not-encodable` when the symbol was removed
   */
  symbolIndex(id: SymbolId, user: () => string): number;
  /** @returns the section's index; 0 where the file does without that table */
  tableIndex(table: GeneratedTable): number;
}

/** @throws KstitchError - `elf-not-encodable` */
export function numberObject(builder: ObjectBuilder): Numbering {
  const symbols = localsFirst(builder.symbols());
  const symbolIndices: number[] = [];
  for (const [position, { id }] of symbols.entries()) symbolIndices[id] = position + 1;

  const sections = withTables(builder, symbols);
  const sectionIndices: number[] = [];
  const tableIndices = new Map<GeneratedTable, number>();
  for (const [position, { id, content }] of sections.entries()) {
    if (id !== madeHere) sectionIndices[id] = position + 1;
    if (content.kind === 'generated') tableIndices.set(content.table, position + 1);
  }

  const firstNonLocal = symbols.findIndex(({ bind }) => bind !== STB.LOCAL);
  return {
    sections,
    symbols,
    firstGlobal: (firstNonLocal < 0 ? symbols.length : firstNonLocal) + 1,
    sectionIndex(id, user) {
      const index = sectionIndices[id];
      if (index === undefined) throw dangling(user(), `section ${id}`);
      return index;
    },
    symbolIndex(id, user) {
      const index = symbolIndices[id];
      if (index === undefined) throw dangling(user(), `symbol ${id}`);
      return index;
    },
    tableIndex: table => tableIndices.get(table) ?? 0,
  };
}

/**
 * @returns `st_shndx` of a symbol, real section indices above `SHN_LORESERVE` included; those go to the table of extended
 *   indices
 */
export function placeIndex(
  symbol: BuilderSymbol,
  numbering: Numbering,
): { index: number; extended: boolean } {
  const { place } = symbol;
  if (typeof place === 'number') {
    const index = numbering.sectionIndex(place, () => `symbol '${symbol.name}'`);
    return { index, extended: index >= SHN.LORESERVE };
  }
  return {
    index: typeof place === 'string' ? reservedPlaces[place] : place.st_shndx,
    extended: false,
  };
}

/** gABI: "In each symbol table, all symbols with STB_LOCAL binding precede the weak and global symbols." */
function localsFirst(symbols: readonly BuilderSymbol[]): BuilderSymbol[] {
  return [
    ...symbols.filter(({ bind }) => bind === STB.LOCAL),
    ...symbols.filter(({ bind }) => bind !== STB.LOCAL),
  ];
}

/** Id of tables that are not in the builder: none, so that no left-over id can ever come to mean them. */
const madeHere = -1 as SectionId;

function withTables(builder: ObjectBuilder, symbols: readonly BuilderSymbol[]): BuilderSection[] {
  const sections = builder.sections();
  const present = new Set<GeneratedTable>();
  for (const { name, content } of sections) {
    if (content.kind !== 'generated') continue;
    if (present.has(content.table)) {
      throw new KstitchError(
        'elf-not-encodable',
        `cannot write section '${name}': the object has a second ${content.table} table`,
      );
    }
    present.add(content.table);
  }

  // Missing tables are made in a builder of their own: writing does not change what is written.
  const add = (name: string, table: GeneratedTable) => {
    const made = new ObjectBuilder(builder.header);
    const section = made.section(made.addSection({ name, content: { kind: 'generated', table } }));
    sections.push({ ...section, id: madeHere });
    present.add(table);
  };
  const needsSymbols =
    symbols.length > 0 ||
    sections.some(({ content }) => content.kind === 'relocations' || content.kind === 'group');
  if (needsSymbols && !present.has('symbols')) add('.symtab', 'symbols');
  if (present.has('symbols') && !present.has('all-names') && !present.has('symbol-names')) {
    add('.strtab', 'symbol-names');
  }
  const needsNames = sections.length > 0;
  if (needsNames && !present.has('all-names') && !present.has('section-names')) {
    add('.shstrtab', 'section-names');
  }

  // Extended indices are needed when a symbol's section does not fit 16 bits. Leaving the table out only lowers
  // the indices behind it, so what was not needed with it is not needed without.
  const defining = new Set(symbols.map(({ place }) => place));
  const needsExtended = sections.slice(SHN.LORESERVE - 1).some(({ id }) => defining.has(id));
  if (needsExtended && !present.has('extended-indices')) add('.symtab_shndx', 'extended-indices');
  return needsExtended ? sections : sections.filter(section => !isTable(section, 'extended-indices'));
}

function isTable({ content }: BuilderSection, table: GeneratedTable): boolean {
  return content.kind === 'generated' && content.table === table;
}

function dangling(user: string, what: string): KstitchError {
  return new KstitchError(
    'elf-not-encodable',
    `cannot write ${user}: it refers to ${what}, which was removed`,
  );
}
