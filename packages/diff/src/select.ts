/**
 * Select: the changed functions, and with them everything that they reach and that the running kernel does not have.
 *
 * The closure starts at the changed functions alone: a new function that nothing reaches stays out. Every reference met
 * on the way is decided once (references.ts); after this stage no reference is open.
 */
import type { Architecture } from '@kstitch/arch/architecture';
import { Flow, type Instructions, instructionAt } from '@kstitch/arch/instructions';
import { hasFlag, SHF, STB } from '@kstitch/elf/constants';
import { type Diagnostic, diagnostic, type Place } from '@kstitch/report/diagnostic';
import type { ChangeReason, Comparison } from './compare.ts';
import type { Correlation } from './correlate.ts';
import type { Peers } from './peers.ts';
import {
  type KernelReference,
  type KernelSymbols,
  referenceAt,
  referenceByName,
  symposOf,
} from './references.ts';
import type { Placement } from './run-pre/place-unit.ts';
import type { ShippedTwins } from './run-pre/same-code.ts';
import type { Atom, Entry, Reference, Unit } from './unit/atom.ts';
import { coldParentOf } from './unit/names.ts';

/** A function that the livepatch redirects. */
export interface PatchedFunction {
  readonly atom: Atom;
  /** Its name in the running kernel, which may carry another number than the after-object's. */
  readonly oldName: string;
  readonly oldSympos: number;
  readonly reason: ChangeReason;
}

/** What a reference of a selected atom means. */
export type Resolution =
  | { readonly kind: 'copy'; readonly atom: Atom }
  /** A new global that another unit of the same object brings. */
  | { readonly kind: 'peer'; readonly name: string }
  | KernelReference;

export interface Selection {
  readonly unit: Unit;
  readonly patched: readonly PatchedFunction[];
  /** Everything that goes into the livepatch, patched functions included, in unit order. */
  readonly atoms: readonly Atom[];
  /** New globals among them that other units of the same object refer to. */
  readonly offered: readonly Atom[];
  /** @returns what a reference of a selected atom, or of one of its entries, means */
  resolve(reference: Reference): Resolution;
  /** Why the module's memory may be in use after it was disabled; empty when nothing speaks against removing it. */
  readonly unloadHazards: readonly string[];
  readonly diagnostics: readonly Diagnostic[];
}

/** Where one unit stands in the running kernel, and what it became. */
export interface SelectInput {
  readonly after: Unit;
  readonly correlation: Correlation;
  readonly comparison: Comparison;
  /** As-shipped atom of each before-atom. */
  readonly shippedTwins: ShippedTwins;
  readonly placement: Placement;
  readonly symbols: KernelSymbols;
  readonly peers: Peers;
  readonly arch: Architecture;
}

export function select(input: SelectInput): Selection {
  return new Selector(input).run();
}

class Selector {
  readonly #input: SelectInput;
  readonly #selected = new Set<Atom>();
  readonly #resolutions = new Map<Reference, Resolution>();
  readonly #patched: PatchedFunction[] = [];
  readonly #offered: Atom[] = [];
  readonly #hazards = new Set<string>();
  readonly #diagnostics: Diagnostic[] = [];
  readonly #pending: Atom[] = [];
  readonly #instructions = new Map<Atom, Instructions>();

  constructor(input: SelectInput) {
    this.#input = input;
  }

  run(): Selection {
    const { after, comparison } = this.#input;
    for (const [atom, reason] of comparison.changed) this.#patch(atom, reason);
    for (const atom of after.atoms) if (this.#isWanted(atom)) this.#offer(atom);

    // The closure: an atom selected brings what it refers to.
    for (let atom = this.#pending.pop(); atom !== undefined; atom = this.#pending.pop()) this.#follow(atom);

    const resolutions = this.#resolutions;
    return {
      unit: after,
      patched: this.#patched,
      atoms: after.atoms.filter(atom => this.#selected.has(atom)),
      offered: this.#offered,
      resolve(reference) {
        const resolution = resolutions.get(reference);
        if (resolution === undefined) throw new RangeError('The reference belongs to no selected atom');
        return resolution;
      },
      unloadHazards: [...this.#hazards],
      diagnostics: this.#diagnostics,
    };
  }

  #patch(atom: Atom, reason: ChangeReason): void {
    const { symbols, placement } = this.#input;
    const place = this.#place(atom, 0);
    const old = this.#shippedAtom(atom);
    const address = old === undefined ? undefined : placement.addressOf(old);
    if (old !== undefined && placement.isOverridden(old)) {
      this.#diagnostics.push(
        diagnostic('weak-overridden', place, `${atom.name}() is overridden by another unit`),
      );
      return;
    }
    const oldSympos =
      old === undefined || address === undefined ? undefined : symposOf(symbols.shipped, old.name, address);
    if (old === undefined || address === undefined || oldSympos === undefined) {
      this.#diagnostics.push(
        diagnostic('symbol-unresolved', place, `the shipped ${symbols.shipped.name} has no ${atom.name}()`),
      );
      return;
    }
    if (!symbols.shipped.hasFtraceSite(address, address + old.size - old.entry)) {
      this.#diagnostics.push(
        diagnostic(
          'no-ftrace-site',
          place,
          `${atom.name}() cannot be patched: the shipped ${symbols.shipped.name} has no ftrace site in it`,
        ),
      );
      return;
    }
    this.#patched.push({ atom, oldName: old.name, oldSympos, reason });
    this.#add(atom);
  }

  /** A new global that another unit refers to; what stands in init memory or a table of the kernel was refused by compare. */
  #isWanted(atom: Atom): boolean {
    const { peers, correlation } = this.#input;
    return (
      peers.wanted.has(atom.name) &&
      peers.offered.has(atom.name) &&
      atom.symbol !== undefined &&
      atom.symbol.bind !== STB.LOCAL &&
      !correlation.beforeOf.has(atom)
    );
  }

  #offer(atom: Atom): void {
    this.#offered.push(atom);
    this.#add(atom);
  }

  #add(atom: Atom): void {
    if (this.#selected.has(atom)) return;
    this.#selected.add(atom);
    this.#pending.push(atom);
    const table = this.#input.after.namedByUnknown.get(atom);
    if (table !== undefined) {
      const text = `section '${table}', for which there is no rule, refers to '${atom.name || atom.section.name}'`;
      this.#diagnostics.push(diagnostic('section-unsupported', this.#place(atom, 0), text));
    }
    const parent = coldParentOf(atom.name);
    if (parent !== undefined) {
      this.#hazards.add(`${parent}() has a cold part, which the kernel's stack check does not cover`);
    }
  }

  #follow(atom: Atom): void {
    for (const reference of atom.references) this.#decide(atom, undefined, reference);
    for (const entry of atom.entries) {
      for (const reference of entry.references) this.#decide(atom, entry, reference);
    }
  }

  #decide(atom: Atom, entry: Entry | undefined, reference: Reference): void {
    const resolution = this.#resolve(atom, entry, reference);
    if ('code' in resolution) {
      this.#diagnostics.push(resolution);
      return;
    }
    this.#resolutions.set(reference, resolution);
    if (resolution.kind === 'copy') this.#add(resolution.atom);
  }

  #resolve(atom: Atom, entry: Entry | undefined, reference: Reference): Resolution | Diagnostic {
    const { symbols, placement, comparison, correlation } = this.#input;
    const { target } = reference;
    const place = this.#place(atom, entry === undefined ? reference.offset : entry.ownerOffset);
    if (target.kind === 'external') {
      const address = placement.external(target.name);
      if (address !== undefined) return referenceAt(symbols, target.name, address, true, place);
      const offered = this.#input.peers.offered.get(target.name);
      if (offered === undefined) return referenceByName(symbols, target.name, place);
      if (offered === 'function') this.#noteUse(atom, entry, reference, target.name);
      return { kind: 'peer', name: target.name };
    }
    const to = target.atom;
    if (comparison.isCopiedByContent(to) || comparison.replaced.has(to)) return { kind: 'copy', atom: to };
    if (to.kind === 'function') {
      const parent = coldParentOf(to.name);
      if (to === atom || parent === atom.name || coldParentOf(atom.name) === to.name)
        return { kind: 'copy', atom: to };
      const isCode = this.#isCode(atom, entry, reference);
      if (correlation.beforeOf.has(to)) {
        if (comparison.changed.has(to) && (isCode || entry !== undefined)) return { kind: 'copy', atom: to };
        return this.#running(to, place);
      }
      if (correlation.ambiguous.has(to)) return this.#ambiguous(to, place);
      this.#noteUse(atom, entry, reference, to.name);
      return { kind: 'copy', atom: to };
    }
    if (to.init)
      return diagnostic(
        'init-memory-reference',
        place,
        `refers to '${to.name || to.section.name}', which was freed after boot`,
      );
    if (correlation.beforeOf.has(to)) return this.#running(to, place);
    if (correlation.ambiguous.has(to)) return this.#ambiguous(to, place);
    if (to.kept !== undefined || (to.name === '' && hasFlag(to.section.sh_flags, SHF.WRITE))) {
      return diagnostic(
        'section-unsupported',
        place,
        `'${to.name || to.section.name}' lies in section '${to.section.name}', for which there is no rule`,
      );
    }
    return { kind: 'copy', atom: to };
  }

  /** A function or object of this unit that the running kernel has. */
  #running(atom: Atom, place: Place): KernelReference | Diagnostic {
    const { symbols, placement } = this.#input;
    const shipped = this.#shippedAtom(atom);
    const address = shipped === undefined ? undefined : placement.addressOf(shipped);
    if (shipped === undefined || address === undefined) {
      return diagnostic(
        'symbol-unresolved',
        place,
        `the shipped ${symbols.shipped.name} has no '${atom.name}'`,
      );
    }
    return referenceAt(symbols, shipped.name, address, shipped.symbol?.bind !== STB.LOCAL, place);
  }

  #shippedAtom(atom: Atom): Atom | undefined {
    const before = this.#input.correlation.beforeOf.get(atom);
    return before === undefined ? undefined : this.#input.shippedTwins.get(before);
  }

  #ambiguous(atom: Atom, place: Place): Diagnostic {
    return diagnostic(
      'correlation-ambiguous',
      place,
      `nothing tells which symbol of the running kernel '${atom.name}' is`,
    );
  }

  /** What use of a new function speaks against removing the module. */
  #noteUse(atom: Atom, entry: Entry | undefined, reference: Reference, name: string): void {
    if (!this.#isCode(atom, entry, reference))
      this.#hazards.add(`the address of the new ${name}() may be held by the kernel`);
    else if (this.#isTailCall(atom, reference))
      this.#hazards.add(`${name}() is reached by a sibling call from ${atom.name}()`);
  }

  #isCode(atom: Atom, entry: Entry | undefined, reference: Reference): boolean {
    return entry === undefined && this.#isBranch(atom, reference);
  }

  #isBranch(atom: Atom, reference: Reference): boolean {
    const flow = this.#flowAt(atom, reference);
    return flow === Flow.call || flow === Flow.jump || flow === Flow.branch;
  }

  #isTailCall(atom: Atom, reference: Reference): boolean {
    const flow = this.#flowAt(atom, reference);
    return flow === Flow.jump || flow === Flow.branch;
  }

  #flowAt(atom: Atom, reference: Reference): number {
    if (atom.kind !== 'function' && atom.kind !== 'chunk') return Flow.other;
    let instructions = this.#instructions.get(atom);
    if (instructions === undefined) {
      instructions = this.#input.arch.decode(atom.bytes);
      this.#instructions.set(atom, instructions);
    }
    return instructions.flows[instructionAt(instructions, reference.offset)] ?? Flow.other;
  }

  #place(atom: Atom, offset: number): Place {
    const { after, symbols } = this.#input;
    return {
      unit: after.name,
      symbol: atom.name || atom.section.name,
      offset: Math.max(0, offset - atom.entry),
      object: symbols.shipped.name,
    };
  }
}
