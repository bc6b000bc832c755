/**
 * Compare: which correlated atoms differ.
 *
 * Two atoms are the same when bytes and relocations are, a relocation's target being the twin of the other's. Objects
 * that have no identity of their own (strings, constants, once-flags, private read-only tables) are compared by what
 * they hold, in place: a changed message makes a changed function. Line numbers need no special case: the after-unit
 * was compiled with every untouched line at its old number.
 */
import { SHF, STB, hasFlag } from '@kstitch/elf/constants';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import type { Correlation } from './correlate.ts';
import type { Atom, Entry, Reference, Target, Unit } from './unit/atom.ts';
import { coldParentOf, isSpecialStatic } from './unit/names.ts';

export type ChangeReason = 'changed' | 'cold part changed';

export interface Comparison {
  /** After-functions that differ from their before-twin, in unit order, with why. */
  readonly changed: ReadonlyMap<Atom, ChangeReason>;
  /** After-functions without a twin, in unit order. */
  readonly added: readonly Atom[];
  /** @returns whether references to the atom mean its contents, so that a patched function brings its own copy */
  isCopiedByContent(atom: Atom): boolean;
  /** What changed and cannot be live-patched: data, init code, tables of the kernel. */
  readonly diagnostics: readonly Diagnostic[];
}

export function compareUnits(before: Unit, after: Unit, correlation: Correlation): Comparison {
  return new Comparer(before, after, correlation).run();
}

class Comparer {
  readonly #before: Unit;
  readonly #after: Unit;
  readonly #correlation: Correlation;
  /** Objects that something else than a function's code refers to. */
  readonly #referredByData = new Set<Atom>();
  readonly #verdicts = new Map<Atom, boolean>();
  readonly #diagnostics: Diagnostic[] = [];

  constructor(before: Unit, after: Unit, correlation: Correlation) {
    this.#before = before;
    this.#after = after;
    this.#correlation = correlation;
    for (const atom of [...before.atoms, ...after.atoms]) {
      if (atom.kind === 'function' && !atom.init) continue;
      for (const { target } of atom.references) if (target.kind === 'atom') this.#referredByData.add(target.atom);
    }
  }

  run(): Comparison {
    const changed = new Map<Atom, ChangeReason>();
    const added: Atom[] = [];
    const byName = new Map<string, Atom>();
    for (const atom of this.#after.atoms) if (atom.kind === 'function') byName.set(atom.name, atom);

    for (const after of this.#after.atoms) {
      if (after.kind !== 'function' && after.kind !== 'object') continue;
      const before = this.#correlation.beforeOf.get(after);
      if (after.init || after.kept !== undefined) {
        this.#checkFrozen(before, after);
      } else if (after.kind === 'function') {
        if (before === undefined) added.push(after);
        else if (!this.#same(before, after)) changed.set(after, 'changed');
      } else if (before !== undefined && !this.isCopiedByContent(after) && !this.#same(before, after)) {
        this.#diagnostics.push(this.#dataChanged(before, after));
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
        return isSpecialStatic(atom.name) || (isReadOnly(atom) && this.#isPrivate(atom));
    }
  }

  /** Local, and no table or other unit holds its address: nobody but functions of this unit can tell a copy from it. */
  #isPrivate(atom: Atom): boolean {
    if (atom.name === '') return true;
    return atom.symbol?.bind === STB.LOCAL && !this.#referredByData.has(atom);
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
    return this.#correlation.beforeOf.get(after.atom) === before.atom;
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
      if (!this.#correlation.afterOf.has(before)) this.#diagnostics.push(this.#frozenChanged(before, 'removes'));
    }
  }

  #frozenChanged(atom: Atom, verb: 'adds' | 'changes' | 'removes'): Diagnostic {
    const place = { unit: this.#after.name, symbol: atom.name || atom.section.name, section: atom.section.name };
    const name = atom.kind === 'function' ? `${atom.name}()` : `'${atom.name || atom.section.name}'`;
    return atom.kept === undefined
      ? diagnostic('init-changed', place, `the patch ${verb} ${name}, which runs only at boot or module load`)
      : diagnostic('table-changed', place, `the patch ${verb} ${atom.kept}: ${name} in section '${atom.section.name}'`);
  }
}

function isReadOnly(atom: Atom): boolean {
  return !hasFlag(atom.section.sh_flags, SHF.WRITE);
}
