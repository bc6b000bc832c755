/**
 * A changed function that ftrace cannot redirect may still be changed through those who call it. The kernel's `inline`
 * implies notrace (include/linux/compiler_types.h), so a `static inline` that gcc leaves out of line has no ftrace site:
 * __do_sys_pivot_root() is one, in each SYSCALL_DEFINE(). Its callers are then redirected though their own code is the
 * same, and call the livepatch's copy; a caller without a site is carried by its own callers in turn.
 *
 * That holds only where every way into the function is a call from this unit: it is static, and nobody has or had its
 * address.
 */
import { STB } from '@kstitch/elf/constants';
import type { ChangeReason } from '../compare.ts';
import type { Correlation } from '../correlate.ts';
import type { Atom, Reference, Unit } from '../unit/atom.ts';
import { coldParentOf } from '../unit/names.ts';

/** Why a function is redirected; `identity`: it did not change at all, but the livepatch is to carry it (identity.ts). */
export type PatchReason = ChangeReason | 'calls a changed function' | 'identity';

export interface CarryInput {
  readonly before: Unit;
  readonly after: Unit;
  readonly correlation: Correlation;
  /** After-functions that differ. */
  readonly changed: ReadonlyMap<Atom, PatchReason>;
  /** @returns whether livepatch can redirect a function of the after-unit, or else has to say itself why not */
  readonly canRedirect: (atom: Atom) => boolean;
  /** @returns whether the reference of a function is the target of a call or jump */
  readonly isBranch: (atom: Atom, reference: Reference) => boolean;
}

export interface Carriage {
  /** Functions to redirect, in unit order: those that differ, and those that carry one that cannot be redirected. */
  readonly redirected: ReadonlyMap<Atom, PatchReason>;
  /** Functions that the livepatch brings for its own calls only. */
  readonly carried: ReadonlySet<Atom>;
}

export function carryByCallers(input: CarryInput): Carriage {
  const { after, changed, canRedirect } = input;
  const redirected = new Map<Atom, PatchReason>(changed);
  const carried = new Set<Atom>();
  // Which takes reading the whole unit, and is seldom asked for.
  let uses: Uses | undefined;
  for (const atom of changed.keys()) {
    if (canRedirect(atom)) continue;
    uses ??= new Uses(input);
    const load = findCarriers(atom, input, uses);
    if (load === undefined) continue;
    for (const each of load.carried) {
      carried.add(each);
      redirected.delete(each);
    }
    for (const caller of load.carriers)
      if (!redirected.has(caller)) redirected.set(caller, 'calls a changed function');
  }
  return {
    redirected: new Map(after.atoms.flatMap(atom => entryOf(redirected, atom))),
    carried,
  };
}

function entryOf<K, V>(map: ReadonlyMap<K, V>, key: K): readonly (readonly [K, V])[] {
  const value = map.get(key);
  return value === undefined ? [] : [[key, value]];
}

/** @returns undefined where a way into the function is left that no redirected caller is on */
function findCarriers(
  atom: Atom,
  { canRedirect, correlation }: CarryInput,
  uses: Uses,
): { readonly carried: ReadonlySet<Atom>; readonly carriers: ReadonlySet<Atom> } | undefined {
  const carried = new Set<Atom>();
  const carriers = new Set<Atom>();
  const open = [atom];
  for (let each = open.pop(); each !== undefined; each = open.pop()) {
    if (carried.has(each)) continue;
    carried.add(each);
    const callers = uses.callersOf(each);
    if (callers === undefined || callers.length === 0) return undefined;
    for (const caller of callers) {
      if (correlation.ambiguous.has(caller)) return undefined;
      // What is new with the patch, the livepatch brings anyway.
      if (!correlation.beforeOf.has(caller)) continue;
      if (canRedirect(caller)) carriers.add(caller);
      else open.push(caller);
    }
  }
  return { carried, carriers };
}

/** Who calls the functions of a unit, as far as calls are all that is done with them. */
class Uses {
  readonly #callers = new Map<Atom, Set<Atom>>();
  /** Of either unit: functions whose address is somewhere. */
  readonly #addressTaken = new Set<Atom>();
  readonly #correlation: Correlation;
  readonly #isBranch: CarryInput['isBranch'];

  constructor({ before, after, correlation, isBranch }: CarryInput) {
    this.#correlation = correlation;
    this.#isBranch = isBranch;
    this.#read(before, undefined);
    const functions = after.atoms.filter(atom => atom.kind === 'function');
    const byName = new Map(functions.map(atom => [atom.name, atom]));
    this.#read(after, (atom, caller) => {
      // A cold part is a piece of its parent.
      const parent = coldParentOf(caller.name);
      const whole = (parent === undefined ? undefined : byName.get(parent)) ?? caller;
      const callers = this.#callers.get(atom) ?? new Set();
      this.#callers.set(atom, callers.add(whole));
    });
  }

  /** @returns undefined when it can be reached in another way than by a call from this unit */
  callersOf(atom: Atom): readonly Atom[] | undefined {
    const before = this.#correlation.beforeOf.get(atom);
    const reachable = [atom, before].some(
      each => each !== undefined && (each.symbol?.bind !== STB.LOCAL || this.#addressTaken.has(each)),
    );
    if (reachable) return undefined;
    return [...(this.#callers.get(atom) ?? [])].filter(caller => caller !== atom);
  }

  #read(unit: Unit, onCall: ((atom: Atom, caller: Atom) => void) | undefined): void {
    for (const atom of unit.atoms) {
      // What runs at boot has run.
      if (atom.init) continue;
      for (const reference of atom.references) {
        const { target } = reference;
        if (target.kind !== 'atom' || target.atom.kind !== 'function' || target.atom === atom) continue;
        if (atom.kind === 'function' && this.#isBranch(atom, reference)) onCall?.(target.atom, atom);
        else this.#addressTaken.add(target.atom);
      }
      for (const { target } of atom.entries.flatMap(entry => entry.references)) {
        if (target.kind !== 'atom' || target.atom.kind !== 'function') continue;
        if (target.atom !== atom && coldParentOf(target.atom.name) !== atom.name)
          this.#addressTaken.add(target.atom);
      }
    }
  }
}
