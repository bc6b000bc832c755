/**
 * Compare: which correlated atoms differ.
 *
 * Two atoms are the same when bytes and relocations are, a relocation's target being the twin of the other's. Objects
 * that have no identity of their own (strings, constants, once-flags, private read-only tables) are compared by what
 * they hold, in place: a changed message makes a changed function. A private table that functions only read in place may
 * change too; each function that reads it then counts as changed. Line numbers need no special case: the after-unit
 * was compiled with every untouched line at its old number.
 */
import type { Architecture } from '@kstitch/arch/architecture';
import type { Instructions } from '@kstitch/arch/instructions';
import { hasFlag, SHF, STB } from '@kstitch/elf/constants';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import type { Correlation } from './correlate.ts';
import type { Atom, Entry, Reference, Target, Unit } from './unit/atom.ts';
import { coldParentOf, isSpecialStatic } from './unit/names.ts';

export type ChangeReason = 'changed' | 'cold part changed';

export interface Comparison {
  /** Private read-only tables that differ: functions that use one are changed and bring their own. */
  readonly replaced: ReadonlySet<Atom>;
  /** After-functions that differ from their before-twin, in unit order, with why. */
  readonly changed: ReadonlyMap<Atom, ChangeReason>;
  /** After-functions without a twin, in unit order. */
  readonly added: readonly Atom[];
  /** @returns whether references to the atom mean its contents, so that a patched function brings its own copy */
  isCopiedByContent(atom: Atom): boolean;
  /** What changed and cannot be live-patched: data, init code, tables of the kernel. */
  readonly diagnostics: readonly Diagnostic[];
}

export function compareUnits(
  before: Unit,
  after: Unit,
  correlation: Correlation,
  arch: Architecture,
): Comparison {
  return new Comparer(before, after, correlation, arch).run();
}

class Comparer {
  readonly #before: Unit;
  readonly #after: Unit;
  readonly #correlation: Correlation;
  /** Objects whose address is in data or is made by code: a copy of theirs could be told from the original. */
  readonly #addressTaken: ReadonlySet<Atom>;
  readonly #replaced = new Set<Atom>();
  readonly #verdicts = new Map<Atom, boolean>();
  readonly #diagnostics: Diagnostic[] = [];

  constructor(before: Unit, after: Unit, correlation: Correlation, arch: Architecture) {
    this.#before = before;
    this.#after = after;
    this.#correlation = correlation;
    this.#addressTaken = new Set([...findAddressTaken(before, arch), ...findAddressTaken(after, arch)]);
  }

  run(): Comparison {
    const changed = new Map<Atom, ChangeReason>();
    const added: Atom[] = [];
    const byName = new Map<string, Atom>();
    for (const atom of this.#after.atoms) if (atom.kind === 'function') byName.set(atom.name, atom);

    // Objects first: a function that uses a replaced one is changed by that.
    for (const after of this.#after.atoms) {
      const before = this.#correlation.beforeOf.get(after);
      if (after.kind === 'object' && before !== undefined) this.#compareObject(before, after);
    }
    for (const after of this.#after.atoms) {
      if (after.kind !== 'function' && after.kind !== 'object') continue;
      const before = this.#correlation.beforeOf.get(after);
      if (after.init || after.kept !== undefined) {
        this.#checkFrozen(before, after);
      } else if (after.kind === 'function') {
        if (before === undefined) added.push(after);
        else if (!this.#same(before, after)) changed.set(after, 'changed');
      }
    }
    this.#checkVanished();

    // A cold part is no function to the kernel: its parent is patched in its place.
    for (const cold of [...changed.keys(), ...added]) {
      const parent = byName.get(coldParentOf(cold.name) ?? '');
      changed.delete(cold);
      if (parent === undefined) {
        if (this.#correlation.beforeOf.has(cold)) changed.set(cold, 'changed');
      } else if (!changed.has(parent) && this.#correlation.beforeOf.has(parent)) {
        changed.set(parent, 'cold part changed');
      }
    }
    return {
      replaced: this.#replaced,
      changed,
      added: added.filter(atom => coldParentOf(atom.name) === undefined),
      isCopiedByContent: atom => this.isCopiedByContent(atom),
      diagnostics: this.#diagnostics,
    };
  }

  isCopiedByContent(atom: Atom): boolean {
    switch (atom.kind) {
      case 'string':
      case 'constant':
      case 'chunk':
        return true;
      case 'function':
        return false;
      case 'object':
        if (atom.init || atom.kept !== undefined) return false;
        return isSpecialStatic(atom.name) || (isReadOnly(atom) && atom.name === '');
    }
  }

  #compareObject(before: Atom, after: Atom): void {
    if (after.init || after.kept !== undefined || this.isCopiedByContent(after)) return;
    if (this.#same(before, after)) return;
    if (this.#isPrivateTable(before) && this.#isPrivateTable(after)) this.#replaced.add(after);
    else this.#diagnostics.push(this.#dataChanged(before, after));
  }

  /** Local, read-only and only ever read in place: nobody but functions of this unit can tell a copy from it. */
  #isPrivateTable(atom: Atom): boolean {
    return isReadOnly(atom) && atom.symbol?.bind === STB.LOCAL && !this.#addressTaken.has(atom);
  }

  #same(before: Atom, after: Atom): boolean {
    const known = this.#verdicts.get(after);
    if (known !== undefined) return known;
    // Twins that refer to each other in a circle are the same unless something else tells them apart.
    this.#verdicts.set(after, true);
    const same = this.#sameContents(before, after);
    this.#verdicts.set(after, same);
    return same;
  }

  #sameContents(before: Atom, after: Atom): boolean {
    return (
      before.size === after.size &&
      before.entry === after.entry &&
      Buffer.compare(before.bytes, after.bytes) === 0 &&
      this.#sameReferences(before.references, after.references) &&
      this.#sameEntries(before.entries, after.entries)
    );
  }

  #sameEntries(before: readonly Entry[], after: readonly Entry[]): boolean {
    return (
      before.length === after.length &&
      before.every((entry, i) => {
        const other = after[i];
        return (
          other !== undefined &&
          entry.section.name === other.section.name &&
          entry.ownerOffset === other.ownerOffset &&
          Buffer.compare(entry.bytes, other.bytes) === 0 &&
          this.#sameReferences(entry.references, other.references)
        );
      })
    );
  }

  #sameReferences(before: readonly Reference[], after: readonly Reference[]): boolean {
    return (
      before.length === after.length &&
      before.every((reference, i) => {
        const other = after[i];
        return (
          other !== undefined &&
          reference.offset === other.offset &&
          reference.type === other.type &&
          reference.bias === other.bias &&
          this.#sameTarget(reference.target, other.target)
        );
      })
    );
  }

  #sameTarget(before: Target, after: Target): boolean {
    if (before.offset !== after.offset) return false;
    if (before.kind === 'external') return after.kind === 'external' && before.name === after.name;
    if (after.kind === 'external') return false;
    if (this.isCopiedByContent(before.atom) && this.isCopiedByContent(after.atom)) {
      return before.atom.kind === after.atom.kind && this.#same(before.atom, after.atom);
    }
    return this.#correlation.beforeOf.get(after.atom) === before.atom && !this.#replaced.has(after.atom);
  }

  #dataChanged(before: Atom, after: Atom): Diagnostic {
    const size = before.size === after.size ? '' : `: ${before.size} bytes before, ${after.size} after`;
    return diagnostic(
      'data-changed',
      { unit: this.#after.name, symbol: after.name || after.section.name },
      `the patch changes the data object '${after.name || after.section.name}'${size}`,
    );
  }

  /** Init code has run and is gone; tables of the kernel (exports, parameters) were read when it booted. */
  #checkFrozen(before: Atom | undefined, after: Atom): void {
    if (before !== undefined && this.#same(before, after)) return;
    if (before === undefined && after.name === '') return;
    this.#diagnostics.push(this.#frozenChanged(after, before === undefined ? 'adds' : 'changes'));
  }

  #checkVanished(): void {
    for (const before of this.#before.atoms) {
      if ((!before.init && before.kept === undefined) || before.name === '') continue;
      if (!this.#correlation.afterOf.has(before))
        this.#diagnostics.push(this.#frozenChanged(before, 'removes'));
    }
  }

  #frozenChanged(atom: Atom, verb: 'adds' | 'changes' | 'removes'): Diagnostic {
    const place = {
      unit: this.#after.name,
      symbol: atom.name || atom.section.name,
      section: atom.section.name,
    };
    const name = atom.kind === 'function' ? `${atom.name}()` : `'${atom.name || atom.section.name}'`;
    return atom.kept === undefined
      ? diagnostic('init-changed', place, `the patch ${verb} ${name}, which runs only at boot or module load`)
      : diagnostic(
          'table-changed',
          place,
          `the patch ${verb} ${atom.kept}: ${name} in section '${atom.section.name}'`,
        );
  }
}

/** Objects whose address something holds or makes, other than a function that reads or writes through it. */
function* findAddressTaken(unit: Unit, arch: Architecture): Iterable<Atom> {
  for (const atom of unit.atoms) {
    const isCode = atom.kind === 'function' && !atom.init;
    let instructions: Instructions | undefined;
    for (const { target, offset } of atom.references) {
      if (target.kind !== 'atom' || target.atom.kind !== 'object') continue;
      if (isCode && target.atom.symbol?.bind === STB.LOCAL && isReadOnly(target.atom)) {
        instructions ??= arch.decode(atom.bytes);
        if (!arch.takesAddress(atom.bytes, instructions, offset)) continue;
      }
      yield target.atom;
    }
    for (const entry of atom.entries) {
      for (const { target } of entry.references) if (target.kind === 'atom') yield target.atom;
    }
  }
}

function isReadOnly(atom: Atom): boolean {
  return !hasFlag(atom.section.sh_flags, SHF.WRITE);
}
