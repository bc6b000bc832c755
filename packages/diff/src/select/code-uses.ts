/** What the instruction around a reference does with it. */
import type { Architecture } from '@kstitch/arch/architecture';
import { Flow, type Instructions, instructionAt } from '@kstitch/arch/instructions';
import type { Atom, Entry, Reference } from '../unit/atom.ts';

export class CodeUses {
  readonly #arch: Architecture;
  readonly #instructions: Map<Atom, Instructions>;

  /** @param instructions - of functions that are decoded already; those that are met are put there */
  constructor(arch: Architecture, instructions: Map<Atom, Instructions>) {
    this.#arch = arch;
    this.#instructions = instructions;
  }

  decoded(atom: Atom): Instructions {
    let instructions = this.#instructions.get(atom);
    if (instructions === undefined) {
      instructions = this.#arch.decode(atom.bytes);
      this.#instructions.set(atom, instructions);
    }
    return instructions;
  }

  /** @returns whether the reference is the target of a call or jump of the function itself, not of one of its entries */
  isCode(atom: Atom, entry: Entry | undefined, reference: Reference): boolean {
    return entry === undefined && this.isBranch(atom, reference);
  }

  isBranch(atom: Atom, reference: Reference): boolean {
    return this.isTailCall(atom, reference) || this.#flowAt(atom, reference) === Flow.call;
  }

  isTailCall(atom: Atom, reference: Reference): boolean {
    const flow = this.#flowAt(atom, reference);
    return flow === Flow.jump || flow === Flow.branch;
  }

  /** @returns whether an address comes into being there that may be handed on; data holds nothing else */
  makesAddress(atom: Atom, entry: Entry | undefined, reference: Reference): boolean {
    if (entry !== undefined) return false;
    if (atom.kind !== 'function') return true;
    return this.#arch.takesAddress(atom.bytes, this.decoded(atom), reference.offset);
  }

  /** @returns whether the instruction reads or writes what is there and nothing else: `mov x(%rip), %eax`, not `x(,%rdi,4)` */
  readsPlace(atom: Atom, reference: Reference): boolean {
    return (
      this.#arch.relocation(reference.type)?.pcRelative === true &&
      !this.makesAddress(atom, undefined, reference)
    );
  }

  storesAddress(atom: Atom, reference: Reference): boolean {
    return (
      atom.kind === 'function' && this.#arch.storesAddress(atom.bytes, this.decoded(atom), reference.offset)
    );
  }

  #flowAt(atom: Atom, reference: Reference): number {
    if (atom.kind !== 'function' && atom.kind !== 'chunk') return Flow.other;
    const instructions = this.decoded(atom);
    return instructions.flows[instructionAt(instructions, reference.offset)] ?? Flow.other;
  }
}
