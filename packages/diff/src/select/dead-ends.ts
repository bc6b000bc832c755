/**
 * Where code of a livepatch ends with a call into the running kernel.
 *
 * objtool cannot know that do_exit() does not return when it is another object's weak symbol (never-returns.ts), so it is told, by
 * the entry that annotate_unreachable() makes. Both have to say so: the function that runs, and the compiler, which puts
 * behind such a call nothing that is reached from there.
 */
import type { Architecture } from '@kstitch/arch/architecture';
import { Flow, type Instructions, instructionAt } from '@kstitch/arch/instructions';
import type { KernelSymbols } from '../references.ts';
import type { Atom, Entry, Reference, Unit } from '../unit/atom.ts';
import { makeDeadEnd, unreachableSection } from './made-atoms.ts';
import { Callees } from './never-returns.ts';
import type { Resolution } from './selection.ts';

export class DeadEnds {
  readonly #unit: Unit;
  readonly #arch: Architecture;
  readonly #callees: Callees;

  constructor(unit: Unit, symbols: KernelSymbols, arch: Architecture) {
    this.#unit = unit;
    this.#arch = arch;
    this.#callees = new Callees(symbols, arch);
  }

  /**
   * @param code - instructions of the function
   * @param resolutionOf - what a reference means, where that is decided
   * @returns an entry for each call that does not return and has none
   */
  of(
    atom: Atom,
    code: Instructions,
    resolutionOf: (reference: Reference) => Resolution | undefined,
  ): readonly Entry[] {
    const ends = atom.references.flatMap(reference => {
      const index = instructionAt(code, reference.offset);
      const resolution = resolutionOf(reference);
      if (code.flows[index] !== Flow.call || resolution === undefined) return [];
      return this.#callees.neverReturns(resolution) ? [index] : [];
    });
    if (ends.length === 0) return [];
    const reached = this.#reachedIn(atom, code);
    return ends.flatMap(index => {
      const end = (code.starts[index] ?? 0) + (code.lengths[index] ?? 0);
      const isKnown = atom.entries.some(
        ({ section, ownerOffset }) => section.name === unreachableSection && ownerOffset === end,
      );
      if (isKnown || !this.#isLeft(atom, code, index + 1, reached)) return [];
      return [makeDeadEnd(this.#arch.distanceType, atom, end)];
    });
  }

  /** Whether the compiler expects nobody to come from the instruction before `index`. */
  #isLeft(atom: Atom, code: Instructions, index: number, reached: ReadonlySet<number>): boolean {
    for (let i = index; i < code.count; i += 1) {
      const start = code.starts[i] ?? 0;
      if (reached.has(start)) return true;
      if (!this.#arch.isPadding(atom.bytes.subarray(start, start + (code.lengths[i] ?? 0)))) return false;
    }
    return true;
  }

  /** Offsets in the function that jumps, tables and its cold part lead to. */
  #reachedIn(atom: Atom, code: Instructions): ReadonlySet<number> {
    const reached = new Set<number>();
    const relocated = new Set(atom.references.map(({ offset }) => instructionAt(code, offset)));
    for (let i = 0; i < code.count; i += 1) {
      const isJump = code.flows[i] === Flow.jump || code.flows[i] === Flow.branch;
      if (isJump && !relocated.has(i)) reached.add(code.targets[i] ?? 0);
    }
    const note = ({ target }: Reference): void => {
      if (target.kind === 'atom' && target.atom === atom) reached.add(target.offset);
    };
    for (const other of this.#unit.atoms) {
      other.references.forEach(note);
      for (const entry of other.entries) entry.references.forEach(note);
    }
    return reached;
  }
}
