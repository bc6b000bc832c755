/**
 * How the kernel finds the symbols that a livepatch refers to: ordinary undefined symbols in the export tables, klp symbols
 * by name and position (Documentation/livepatch/module-elf-format.rst).
 */
import type { TextSymbol } from './object-text.ts';
import type { Shipped } from './shipped.ts';

/** `.klp.sym.<object>.<name>,<sympos>` */
export interface KlpSymbol {
  readonly object: string;
  readonly name: string;
  readonly sympos: number;
}

/** Section index by which livepatch knows its symbols, as readelf prints it (SHN_LIVEPATCH). */
const livepatchPlace = 'OS [0xff20]';

const klpSymbolPrefix = '.klp.sym.';
const klpRelocationsPrefix = '.klp.rela.';

export function isLivepatchSymbol(symbol: TextSymbol): boolean {
  return symbol.place === livepatchPlace;
}

/** @returns undefined where the name does not have the form that the kernel parses */
export function parseKlpSymbol(name: string): KlpSymbol | undefined {
  if (!name.startsWith(klpSymbolPrefix)) return undefined;
  const rest = name.slice(klpSymbolPrefix.length);
  const dot = rest.indexOf('.');
  const comma = rest.lastIndexOf(',');
  const sympos = rest.slice(comma + 1);
  if (dot <= 0 || comma < dot || !/^\d+$/.test(sympos)) return undefined;
  return { object: rest.slice(0, dot), name: rest.slice(dot + 1, comma), sympos: Number(sympos) };
}

/** @returns the object whose load applies a list of relocations; undefined for an ordinary list */
export function gateOfList(list: string): string | undefined {
  if (!list.startsWith(klpRelocationsPrefix)) return undefined;
  const rest = list.slice(klpRelocationsPrefix.length);
  return rest.slice(0, Math.max(0, rest.indexOf('.')));
}

export type Lookup = { readonly address: bigint; readonly candidates: number } | { readonly problem: string };

/** @param sympos - 0 for a name that must be unique, else the place among the symbols of that name, from 1 */
export function lookUp(shipped: Shipped, name: string, sympos: number): Lookup {
  const symbols = shipped.named(name);
  const there = `'${shipped.name}' has ${symbols.length} symbols named '${name}'`;
  if (sympos === 0 && symbols.length > 1) return { problem: `${there}, and sympos 0 wants one` };
  const symbol = symbols[Math.max(0, sympos - 1)];
  if (symbol === undefined) return { problem: sympos === 0 ? there : `${there}, and sympos is ${sympos}` };
  return { address: symbol.address, candidates: symbols.length };
}

/** @returns exporting object by symbol, out of the text of Module.symvers: crc, name, object, kind, namespace */
export function parseExports(symvers: string): ReadonlyMap<string, string> {
  const exports = new Map<string, string>();
  for (const line of symvers.split('\n')) {
    const [, name, object] = line.split('\t');
    if (name === undefined || object === undefined) continue;
    exports.set(name, object.slice(object.lastIndexOf('/') + 1).replaceAll('-', '_'));
  }
  return exports;
}
