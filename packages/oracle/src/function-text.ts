/**
 * A function written down so that two compilations can be compared: its bytes, and in place of every number that the
 * compiler or the assembler chose, what it stands for.
 */
import { isMadeForOnePlace, unnumbered } from './compiler-names.ts';
import type { TextSection } from './object-text.ts';
import { meaningInEntry, type TableName, type UnitTables } from './special-tables.ts';
import type { Meaning, Part, UnitParts } from './unit-parts.ts';

/** Steps from one nameless thing to another at most: only a damaged object has more. */
const maxDepth = 8;

export class FunctionText {
  readonly #unit: UnitParts;
  readonly #tables: UnitTables;
  readonly #markOf: (part: Part) => string;

  /** @param markOf - what to write behind the name of an object, so that two of one name can differ */
  constructor(unit: UnitParts, tables: UnitTables, markOf: (part: Part) => string = () => '') {
    this.#unit = unit;
    this.#tables = tables;
    this.#markOf = markOf;
  }

  /** @returns the text of a function or object, with its entries in special tables */
  of(part: Part): string {
    const lines = [this.#region(part.section, part.start, part.size, 0)];
    for (const entry of this.#tables.of.get(part) ?? []) {
      const { table, section, at, offset, size } = entry;
      lines.push(`${table} ${at}: ${this.#region(section, offset, size, 0, table)}`);
    }
    for (const { kind, name, at } of this.#tables.constants.get(part) ?? [])
      lines.push(`constant ${at}: ${kind} ${name}`);
    return lines.join('\n');
  }

  #region(section: TextSection, start: number, size: number, depth: number, table?: TableName): string {
    const { object } = this.#unit;
    const parts = [object.bytes(section, start, size).toString('latin1')];
    if (depth > maxDepth) return parts.join('');
    for (const relocation of object.relocationsIn(section.index, start, size)) {
      const meant = meaningInEntry(this.#unit, table, { section, start, size }, relocation);
      const meaning = this.meaning(meant, depth);
      parts.push(`\n ${relocation.offset - start} ${relocation.type} ${meaning}`);
    }
    return parts.join('');
  }

  /** @returns what a relocation means, in words that are the same in another compilation */
  meaning(meaning: Meaning, depth = 0): string {
    switch (meaning.kind) {
      case 'external':
        return `${meaning.name}+${meaning.offset}`;
      case 'string':
        return `${JSON.stringify(meaning.text)}+${meaning.offset}`;
      case 'part': {
        const { part, offset } = meaning;
        const name = unnumbered(part.name);
        if (!isMadeForOnePlace(part.name)) return `${name}+${offset}${this.#markOf(part)}`;
        return `${name}+${offset}{${this.#region(part.section, part.start, part.size, depth + 1)}}`;
      }
      case 'nameless': {
        const { section, start, size, offset } = meaning;
        return `nameless+${offset}{${this.#region(section, start, size, depth + 1)}}`;
      }
    }
  }
}
