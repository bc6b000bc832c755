/**
 * The cold part of a function that runs. Before it lets a task use the livepatch, the kernel looks for [old function, its end) on
 * the task's stack (kernel/livepatch/transition.c: klp_check_stack_func()); the cold part lies elsewhere.
 */
import type { Architecture } from '@kstitch/arch/architecture';
import { Flow } from '@kstitch/arch/instructions';
import type { Placement } from '../run-pre/place-unit.ts';
import type { ShippedTwins } from '../run-pre/same-code.ts';
import type { Address, ShippedObject } from '../run-pre/shipped-object.ts';
import type { Atom } from '../unit/atom.ts';
import { coldParentOf } from '../unit/names.ts';
import { neverReturns } from './never-returns.ts';

export class OldColdParts {
  readonly #parts: ReadonlyMap<string | undefined, Atom>;
  readonly #placement: Placement;
  readonly #shipped: ShippedObject;
  readonly #arch: Architecture;

  constructor(twins: ShippedTwins, placement: Placement, shipped: ShippedObject, arch: Architecture) {
    this.#parts = new Map([...twins.values()].map(atom => [coldParentOf(atom.name), atom] as const));
    this.#placement = placement;
    this.#shipped = shipped;
    this.#arch = arch;
  }

  /** @returns the name of the function's cold part, where a task may sleep in a call that comes back to it */
  sleeperIn(name: string): string | undefined {
    const cold = this.#parts.get(name);
    if (cold === undefined) return undefined;
    const { count, starts, lengths, flows } = this.#arch.decode(cold.bytes);
    for (let i = 0; i < count; i += 1) {
      if (flows[i] !== Flow.call) continue;
      const from = starts[i] ?? 0;
      const callee = this.#callee(cold, from, from + (lengths[i] ?? 0));
      if (callee === undefined || !neverReturns(this.#shipped, callee, this.#arch)) return cold.name;
    }
    return undefined;
  }

  #callee(cold: Atom, from: number, end: number): Address | undefined {
    const target = cold.references.find(({ offset }) => offset >= from && offset < end)?.target;
    if (target === undefined) return undefined;
    return target.kind === 'external'
      ? this.#placement.external(target.name)
      : this.#placement.addressOf(target.atom);
  }
}
