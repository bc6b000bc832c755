/**
 * Tables that tell the kernel something about places in code: which instruction may fault, which is a BUG, which jump is
 * a static branch. Every entry begins with the place that it is about. Entry sizes are not taken from anywhere: a table
 * says them itself, by its size and the number of its relocations.
 */
import { type BootConstant, readBootConstants } from './boot-constants.ts';
import { type ObjectText, type TextRelocation, type TextSection, unreadable } from './object-text.ts';
import type { Meaning, Part, UnitParts } from './unit-parts.ts';

/** Relocations in one entry. */
const relocationsPerEntry = {
  __bug_table: 2,
  __ex_table: 2,
  __jump_table: 3,
  '.altinstructions': 2,
  '.smp_locks': 1,
  __mcount_loc: 1,
  '.parainstructions': 1,
} as const satisfies Record<string, number>;

export type TableName = keyof typeof relocationsPerEntry;

export const tableNames = Object.keys(relocationsPerEntry) as readonly TableName[];

export interface TableEntry {
  readonly table: TableName;
  readonly section: TextSection;
  readonly offset: number;
  readonly size: number;
  /** The first is the place that the entry is about. */
  readonly relocations: readonly TextRelocation[];
}

export interface OwnedEntry extends TableEntry {
  /** Bytes from the start of the function to the place that the entry is about. */
  readonly at: number;
}

/** The tables of one compiled unit. */
export interface UnitTables {
  readonly entrySizes: ReadonlyMap<TableName, number>;
  /** In the order of tables and of entries in them. */
  readonly of: ReadonlyMap<Part, readonly OwnedEntry[]>;
  /** In the order of sections and of entries in them. */
  readonly constants: ReadonlyMap<Part, readonly BootConstant[]>;
}

/** @throws KstitchError - `oracle-unreadable` when a table cannot be cut into entries */
export function readTables(unit: UnitParts): UnitTables {
  const entrySizes = new Map<TableName, number>();
  const of = new Map<Part, OwnedEntry[]>();
  for (const table of tableNames) {
    for (const section of unit.object.sectionsNamed(table)) {
      const size = entrySizeOf(unit.object, table, section);
      if (size === undefined) continue;
      entrySizes.set(table, size);
      for (const entry of cutTable(unit.object, table, section, size)) {
        const [key] = entry.relocations;
        if (key === undefined || key.offset !== entry.offset)
          throw unreadable(unit.object.path, `an entry of ${table} is about nothing`);
        const meaning = unit.meaning(section, key);
        if (meaning.kind !== 'part') continue;
        const owned = { ...entry, at: meaning.offset };
        const known = of.get(meaning.part);
        if (known === undefined) of.set(meaning.part, [owned]);
        else known.push(owned);
      }
    }
  }
  return { entrySizes, of, constants: readBootConstants(unit) };
}

function entrySizeOf(object: ObjectText, table: TableName, section: TextSection): number | undefined {
  if (section.size === 0) return undefined;
  const count = object.relocations(section.index).length / relocationsPerEntry[table];
  const size = section.size / count;
  if (!Number.isInteger(size)) throw unreadable(object.path, `${table} cannot be cut into entries`);
  return size;
}

/** @returns the entries of a table, the last one shorter where the table is no whole number of them */
export function cutTable(
  object: ObjectText,
  table: TableName,
  section: TextSection,
  size: number,
): readonly TableEntry[] {
  const entries: TableEntry[] = [];
  for (let offset = 0; offset < section.size; offset += size) {
    const length = Math.min(size, section.size - offset);
    const relocations = object.relocationsIn(section.index, offset, length);
    entries.push({ table, section, offset, size: length, relocations });
  }
  return entries;
}

/**
 * What a relocation in a table's entry means. Replacements of alternatives follow each other without names, and one of no bytes points
 * at where another's begins: how long each is stands in the entry's last byte (arch/x86/include/asm/alternative.h,
 * `struct alt_instr`).
 *
 * @param table - undefined for what is no table
 * @param size - bytes of the entry
 */
export function meaningInEntry(
  unit: UnitParts,
  table: TableName | undefined,
  { section, start, size }: { readonly section: TextSection; readonly start: number; readonly size: number },
  relocation: TextRelocation,
): Meaning {
  const meaning = unit.meaning(section, relocation);
  if (table !== '.altinstructions' || meaning.kind !== 'nameless') return meaning;
  return { ...meaning, size: unit.object.bytes(section, start + size - 1, 1)[0] ?? 0 };
}

/** A static branch, as `__jump_table` of the compiled unit knows it. */
export interface BranchSite {
  /** 2 or 5 bytes. */
  readonly length: number;
  /** The key says that objtool is to make a NOP of the jump (arch/x86/include/asm/jump_label.h: the key's bit 1). */
  readonly becomesNop: boolean;
  /** The entry. */
  readonly entry: OwnedEntry;
}

/** @returns static branches of a function, by offset from its start */
export function branchSites(
  unit: UnitParts,
  tables: UnitTables,
  part: Part,
): ReadonlyMap<number, BranchSite> {
  const sites = new Map<number, BranchSite>();
  for (const entry of tables.of.get(part) ?? []) {
    if (entry.table !== '__jump_table') continue;
    const key = entry.relocations[2];
    if (key === undefined) continue;
    const [first] = unit.object.bytes(part.section, part.start + entry.at, 1);
    const meaning = unit.meaning(entry.section, key);
    const bits = meaning.kind === 'part' || meaning.kind === 'external' ? meaning.offset : 0;
    sites.set(entry.at, {
      length: first === 0xeb || first === 0x66 ? 2 : 5,
      becomesNop: (bits & 2) !== 0 && (first === 0xeb || first === 0xe9),
      entry,
    });
  }
  return sites;
}

/** The NOPs that the kernel and objtool write over jumps of 2 and 5 bytes. */
export function branchNop(length: number): Buffer {
  return Buffer.from(length === 2 ? [0x66, 0x90] : [0x0f, 0x1f, 0x44, 0x00, 0x00]);
}
