/**
 * Peers: the units of one livepatch that are part of the same object. A patch may add a function to one unit and call it
 * from another; the running kernel has no such symbol, so the livepatch brings it, once, for both. Across objects this never
 * happens: a module reaches another object through its exports alone, and a livepatch cannot add one.
 */
import { STB, STT } from '@kstitch/elf/constants';
import type { ElfFile } from '@kstitch/elf/model';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';

/** What a patch does to the names by which a unit takes part in linking. */
export interface UnitGlobals {
  /** Path of the source below the kernel tree. */
  readonly unit: string;
  /** Defined after and not before. */
  readonly added: ReadonlyMap<string, PeerSymbolKind>;
  /** Static before and not after. */
  readonly published: ReadonlySet<string>;
  /** Defined before and after. */
  readonly kept: ReadonlySet<string>;
  /** Defined before and not after. */
  readonly removed: ReadonlySet<string>;
  /** Left undefined after and not before. */
  readonly wanted: ReadonlySet<string>;
}

export type PeerSymbolKind = 'function' | 'object';

/** What the units of one object give each other. */
export interface Peers {
  /** New globals that one of the units defines. */
  readonly offered: ReadonlyMap<string, PeerSymbolKind>;
  /** Symbols of the running kernel that lose their `static`, and so may be meant by name. */
  readonly published: ReadonlySet<string>;
  /** Names that one of the units refers to, now that it is patched, and does not define. */
  readonly wanted: ReadonlySet<string>;
}

/** Of a unit that is alone. */
export const noPeers: Peers = { offered: new Map(), published: new Set(), wanted: new Set() };

/** @param unit - path of the source */
export function readGlobals(unit: string, before: ElfFile, after: ElfFile): UnitGlobals {
  const old = namesOf(before);
  const fresh = namesOf(after);
  return {
    unit,
    // What was static before is in the running kernel, under its name.
    added: new Map([...fresh.globals].filter(([name]) => !old.globals.has(name) && !old.locals.has(name))),
    published: new Set([...fresh.globals.keys()].filter(name => old.locals.has(name))),
    kept: new Set([...fresh.globals.keys()].filter(name => old.globals.has(name))),
    removed: new Set([...old.globals.keys()].filter(name => !fresh.globals.has(name))),
    wanted: new Set([...fresh.undefined].filter(name => !old.undefined.has(name))),
  };
}

/**
 * @param units - of one object, one or more
 * @param isShipped - whether the shipped object has a global symbol of a name
 * @param isWeak - whether some source of the kernel defines or declares a name weak
 * @returns what they give each other, and a refusal for each global that went from one unit to another: old callers would keep the
 *   old one, and whatever the patch changed in it on the way would be lost. A definition beside a weak one, or without the one that
 *   stood before a weak one, is such a move, too
 */
export function findPeers(
  units: readonly UnitGlobals[],
  isShipped: (name: string) => boolean,
  isWeak: (name: string) => boolean,
): {
  readonly peers: Peers;
  readonly diagnostics: readonly Diagnostic[];
} {
  const offered = new Map(units.flatMap(({ added }) => [...added]));
  const published = new Set(units.flatMap(unit => [...unit.published]));
  const wanted = new Set(units.flatMap(unit => [...unit.wanted]));
  const to = new Map(
    units.flatMap(({ unit, added }) => [...added.keys()].map(name => [name, unit] as const)),
  );
  const keptBy = new Map(units.flatMap(({ unit, kept }) => [...kept].map(name => [name, unit] as const)));
  const from = new Map(units.flatMap(({ unit, removed }) => [...removed].map(name => [name, unit] as const)));
  const diagnostics = [...from].flatMap(([name, unit]) => {
    const target = to.get(name) ?? keptBy.get(name);
    if (target === undefined && !isWeak(name)) return [];
    const text =
      target === undefined
        ? `the patch takes '${name}' out of '${unit}'; the name is weak, so that uses of it lead to another definition or nowhere`
        : `the patch moves '${name}' from '${unit}' to '${target}'`;
    return [diagnostic('symbol-moved', { unit, symbol: name }, text)];
  });
  for (const [name, unit] of to) {
    if (from.has(name)) continue;
    const other = keptBy.get(name);
    if (other === undefined && !isShipped(name)) continue;
    const text = `the patch defines '${name}' in '${unit}', and ${other === undefined ? 'another unit' : `'${other}'`} has one already`;
    diagnostics.push(diagnostic('symbol-moved', { unit, symbol: name }, text));
  }
  return { peers: { offered, published, wanted }, diagnostics };
}

function namesOf(file: ElfFile) {
  const globals = new Map<string, PeerSymbolKind>();
  const locals = new Set<string>();
  const undefinedNames = new Set<string>();
  for (const { name, type, bind, section, st_shndx } of file.symbols) {
    if (name === '' || type === STT.SECTION || type === STT.FILE) continue;
    if (section === undefined) {
      if (st_shndx === 0) undefinedNames.add(name);
    } else if (bind === STB.LOCAL) locals.add(name);
    else globals.set(name, type === STT.FUNC ? 'function' : 'object');
  }
  return { globals, locals, undefined: undefinedNames };
}
