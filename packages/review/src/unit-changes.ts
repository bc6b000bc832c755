/** What changes in one unit, function by function: from two objects of it, whatever becomes of the patch later. */
import type { Architecture } from '@kstitch/arch/architecture';
import type { EntrySizes } from '@kstitch/arch/special-sections';
import { compareUnits } from '@kstitch/diff/compare';
import { correlate } from '@kstitch/diff/correlate';
import type { ExplainedObjects } from '@kstitch/diff/explain';
import type { Atom, Reference } from '@kstitch/diff/unit/atom';
import { coldParentOf } from '@kstitch/diff/unit/names';
import { readUnit } from '@kstitch/diff/unit/read-unit';
import type { ElfFile } from '@kstitch/elf/model';
import type { Side } from './source-text.ts';

export interface UnitChange {
  /** `carrier`: its own code is the same, and it calls what cannot be redirected. */
  readonly kind: 'changed' | 'new' | 'carrier';
  /** As the before-object has it; of a new function as the after-object. */
  readonly name: string;
  readonly sourceName: string;
  /** What the compiler did to make it of `sourceName`: `isra`, `constprop`, `part`. */
  readonly clone: string | undefined;
  readonly coldOnly: boolean;
  /** Undefined of a new function. */
  readonly before: Atom | undefined;
  readonly after: Atom;
  /** The parts that the compiler put aside as unlikely, as far as there are any. */
  readonly coldBefore: Atom | undefined;
  readonly coldAfter: Atom | undefined;
  readonly reached: ReachedSymbols;
  /** Private read-only tables that change and that it uses. */
  readonly tables: readonly string[];
  readonly callees: readonly { readonly before: string; readonly after: string }[];
  /** Other changed or new functions that it refers to. */
  readonly changedCallees: readonly string[];
}

/** Names that a function refers to on one side only. */
export interface ReachedSymbols {
  readonly gained: readonly ReachedSymbol[];
  readonly lost: readonly ReachedSymbol[];
}

export interface ReachedSymbol {
  readonly name: string;
  /** Where it is: in the same unit, in another one, or new with the patch. */
  readonly where: 'unit' | 'outside' | 'new';
}

export interface UnitChanges {
  readonly functions: readonly UnitChange[];
  readonly objects: ExplainedObjects;
}

/**
 * @param before - compiled with function and data sections
 * @param after - the same with the patch, untouched lines at their old numbers
 * @param carriers - functions that the livepatch redirects for the sake of what they call
 * @throws KstitchError - `unit-malformed`
 */
export function readUnitChanges(
  name: string,
  before: ElfFile,
  after: ElfFile,
  arch: Architecture,
  sizes: EntrySizes,
  carriers: ReadonlySet<string> = new Set(),
): UnitChanges {
  const units = {
    before: readUnit(before, name, arch, sizes, { movable: true }),
    after: readUnit(after, name, arch, sizes, { movable: true }),
  };
  const correlation = correlate(units.before, units.after);
  const comparison = compareUnits(units.before, units.after, correlation, arch);
  const objects = { ...units, correlation, comparison, arch };
  const added = comparison.added.filter(atom => !correlation.ambiguous.has(atom));
  const touched = new Set<Atom>([...comparison.changed.keys(), ...added]);
  const functions = units.after.atoms.flatMap((atom): UnitChange[] => {
    const carries = atom.kind === 'function' && carriers.has(correlation.beforeOf.get(atom)?.name ?? '');
    return touched.has(atom) || carries ? [describe(objects, atom, touched)] : [];
  });
  return { functions, objects };
}

function describe(objects: ExplainedObjects, after: Atom, touched: ReadonlySet<Atom>): UnitChange {
  const { correlation, comparison } = objects;
  const before = correlation.beforeOf.get(after);
  const coldAfter = coldOf(objects.after.atoms, after);
  const coldBefore = before && coldOf(objects.before.atoms, before);
  const name = before?.name ?? after.name;
  const ours = namesReached(objects, 'after', [after, coldAfter]);
  const theirs = namesReached(objects, 'before', [before, coldBefore]);
  const references = referencesOf([after, coldAfter]);
  const targets = references.flatMap(({ target }) => (target.kind === 'atom' ? [target.atom] : []));
  return {
    kind: before === undefined ? 'new' : touched.has(after) ? 'changed' : 'carrier',
    name,
    sourceName: sourceNameOf(name),
    clone: cloneOf(name),
    coldOnly: comparison.changed.get(after) === 'cold part changed',
    before,
    after,
    coldBefore,
    coldAfter,
    reached: {
      gained: [...ours.values()].filter(one => !theirs.has(one.name)),
      lost: [...theirs.values()].filter(one => !ours.has(one.name)),
    },
    tables: distinct(targets.filter(atom => comparison.replaced.has(atom)).map(atom => atom.name)),
    callees: before === undefined ? [] : renamedCallees([...theirs.keys()], [...ours.keys()]),
    changedCallees: distinct(
      targets.filter(atom => touched.has(atom) && atom !== after).map(atom => atom.name),
    ),
  };
}

/** @returns the function of the source: `foo` for `foo.isra.0` */
export function sourceNameOf(name: string): string {
  return name.replace(/\..*$/, '') || name;
}

function cloneOf(name: string): string | undefined {
  return /\.(isra|constprop|part|cold|llvm|localalias)(?:\.|$)/.exec(name)?.[1];
}

function coldOf(atoms: readonly Atom[], parent: Atom): Atom | undefined {
  return atoms.find(atom => atom.kind === 'function' && coldParentOf(atom.name) === parent.name);
}

function referencesOf(parts: readonly (Atom | undefined)[]): readonly Reference[] {
  return parts.flatMap(atom =>
    atom === undefined
      ? []
      : [...atom.references, ...atom.entries.flatMap(entry => entry.references.slice(1))],
  );
}

/** What every function has, or what stands for an instruction. */
const unnamed = /^(?:__fentry__|__x86_return_thunk|__x86_indirect_thunk_\w+|__stack_chk_fail)$/;

function namesReached(
  { correlation, comparison }: ExplainedObjects,
  side: Side,
  parts: readonly (Atom | undefined)[],
): Map<string, ReachedSymbol> {
  const names = new Map<string, ReachedSymbol>();
  for (const { target } of referencesOf(parts)) {
    if (target.kind === 'external') {
      if (!unnamed.test(target.name)) names.set(target.name, { name: target.name, where: 'outside' });
      continue;
    }
    const { atom } = target;
    if (parts.includes(atom) || atom.name === '' || comparison.isCopiedByContent(atom)) continue;
    if (coldParentOf(atom.name) !== undefined) continue;
    // The compiler numbers clones and static locals anew: one name for both sides.
    const twin = side === 'before' ? atom : correlation.beforeOf.get(atom);
    const name = (twin ?? atom).name;
    names.set(name, { name, where: twin === undefined ? 'new' : 'unit' });
  }
  return names;
}

/** `helper` before and `helper.constprop.0` after, or the other way round. */
function renamedCallees(before: readonly string[], after: readonly string[]) {
  return after.flatMap(name => {
    if (before.includes(name)) return [];
    const old = before.find(
      other => other !== name && sourceNameOf(other) === sourceNameOf(name) && !after.includes(other),
    );
    const isClone = cloneOf(name) !== undefined || (old !== undefined && cloneOf(old) !== undefined);
    return old === undefined || !isClone ? [] : [{ before: old, after: name }];
  });
}

function distinct(names: readonly string[]): string[] {
  return [...new Set(names)];
}
