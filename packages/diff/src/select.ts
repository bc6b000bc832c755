/**
 * Select: the changed functions, and with them everything that they reach and that the running kernel does not have.
 *
 * The closure starts at the changed functions and the callbacks: a new function that nothing reaches stays out. Every reference met
 * on the way is decided once (references.ts); after this stage no reference is open.
 */
import type { Architecture } from '@kstitch/arch/architecture';
import { Flow, type Instructions, instructionAt } from '@kstitch/arch/instructions';
import type { EntrySizes } from '@kstitch/arch/special-sections';
import { hasFlag, SHF, STB } from '@kstitch/elf/constants';
import { type Diagnostic, diagnostic, type Place } from '@kstitch/report/diagnostic';
import { type Carriage, carryByCallers, type PatchReason } from './carry-by-callers.ts';
import type { Comparison } from './compare.ts';
import type { Correlation } from './correlate.ts';
import { DeadEnds } from './dead-ends.ts';
import { LoadingOrder } from './loading-order.ts';
import { neverReturns } from './never-returns.ts';
import { OldColdParts } from './old-cold-part.ts';
import type { Peers } from './peers.ts';
import {
  type KernelReference,
  type KernelSymbols,
  referenceAt,
  referenceByName,
  symposOf,
  vmlinux,
} from './references.ts';
import type { Placement } from './run-pre/place-unit.ts';
import type { ShippedTwins } from './run-pre/same-code.ts';
import type { Address } from './run-pre/shipped-object.ts';
import { type Code, isRuntimeConstant, readVariables } from './runtime-constants.ts';
import { type SelectedCallback, selectCallbacks } from './select-callbacks.ts';
import { mayKeepText, nextCallee } from './text-keepers.ts';
import { alwaysOnStacks, findThreadFunctions } from './thread-functions.ts';
import type { Atom, Entry, Reference, RequestedState, Target, Unit } from './unit/atom.ts';
import { coldParentOf } from './unit/names.ts';

/** A function that the livepatch redirects. */
export interface PatchedFunction {
  readonly atom: Atom;
  /** Its name in the running kernel, which may carry another number than the after-object's. */
  readonly oldName: string;
  readonly oldSympos: number;
  readonly reason: PatchReason;
}

/** What a reference of a selected atom means. */
export type Resolution =
  | { readonly kind: 'copy'; readonly atom: Atom }
  /** A new global that another unit of the same object brings. */
  | { readonly kind: 'peer'; readonly name: string }
  /** The `struct klp_patch` that the wrapper defines. */
  | { readonly kind: 'wrapper'; readonly name: string }
  | KernelReference;

export interface Selection {
  readonly unit: Unit;
  readonly patched: readonly PatchedFunction[];
  /** In the order of the unit's records. */
  readonly callbacks: readonly SelectedCallback[];
  readonly states: readonly RequestedState[];
  /** Everything that goes into the livepatch, patched functions included, in unit order. */
  readonly atoms: readonly Atom[];
  /** New globals among them that other units of the same object refer to. */
  readonly offered: readonly Atom[];
  /** @returns bytes and relocations of a selected atom as they go into the livepatch */
  codeOf(atom: Atom): Code;
  /** @returns the special-section entries of a selected atom that go with it */
  entriesOf(atom: Atom): readonly Entry[];
  /** @returns what a reference of a selected atom, or of one of its entries, means */
  resolve(reference: Reference): Resolution;
  /** Why the module's memory may be in use after it was disabled; empty when nothing speaks against removing it. */
  readonly unloadHazards: readonly string[];
  readonly diagnostics: readonly Diagnostic[];
}

/** The livepatch's `struct klp_patch` (packages/livepatch/templates: wrapper.c, kstitch.h). */
const wrapperSymbol = 'kstitch_patch';

/** Where one unit stands in the running kernel, and what it became. */
export interface SelectInput {
  readonly before: Unit;
  readonly after: Unit;
  readonly correlation: Correlation;
  readonly comparison: Comparison;
  /** After-functions that are to be patched. */
  readonly changed: ReadonlyMap<Atom, PatchReason>;
  /** As-shipped atom of each before-atom. */
  readonly shippedTwins: ShippedTwins;
  readonly placement: Placement;
  readonly symbols: KernelSymbols;
  readonly peers: Peers;
  readonly arch: Architecture;
  readonly sizes: EntrySizes;
  /** Decoded functions of the units, kept from one selection to the next; default: of this one alone. */
  readonly instructions?: Map<Atom, Instructions>;
}

export function select(input: SelectInput): Selection {
  return new Selector(input).run();
}

class Selector {
  readonly #input: SelectInput;
  readonly #selected = new Set<Atom>();
  readonly #code = new Map<Atom, Code>();
  readonly #entries = new Map<Atom, readonly Entry[]>();
  readonly #loadingOrder: LoadingOrder;
  readonly #deadEnds: DeadEnds;
  readonly #carriage: Carriage;
  readonly #debugPrints = new Set<string>();
  #threads: ReadonlySet<Atom> | undefined;
  #oldColdParts: OldColdParts | undefined;
  readonly #resolutions = new Map<Reference, Resolution>();
  readonly #patched: PatchedFunction[] = [];
  readonly #offered: Atom[] = [];
  readonly #hazards = new Set<string>();
  readonly #diagnostics: Diagnostic[] = [];
  readonly #pending: Atom[] = [];
  readonly #instructions: Map<Atom, Instructions>;

  constructor(input: SelectInput) {
    this.#input = input;
    this.#instructions = input.instructions ?? new Map();
    this.#loadingOrder = new LoadingOrder({
      symbols: input.symbols,
      sizes: input.sizes,
      freeId: input.after.atoms.length,
      resolve: (atom, entry, reference) => this.#resolve(atom, entry, reference),
      placeOf: (atom, offset) => this.#place(atom, offset),
    });
    this.#deadEnds = new DeadEnds(input.after, input.symbols, input.arch);
    this.#carriage = carryByCallers({
      ...input,
      canRedirect: atom => this.#hasFtraceSite(atom),
      isBranch: (atom, reference) => this.#isBranch(atom, reference),
    });
  }

  run(): Selection {
    const { after } = this.#input;
    for (const [atom, reason] of this.#carriage.redirected) this.#patch(atom, reason);
    for (const atom of this.#carriage.carried) this.#noteUnseen(atom);
    for (const atom of after.atoms) if (this.#isWanted(atom)) this.#offer(atom);

    const { callbacks, diagnostics } = selectCallbacks(after, atom => this.#isNew(atom));
    this.#diagnostics.push(...diagnostics);
    for (const { atom } of callbacks) this.#add(atom);

    // The closure: an atom selected brings what it refers to.
    for (let atom = this.#pending.pop(); atom !== undefined; atom = this.#pending.pop()) this.#follow(atom);

    const resolutions = this.#resolutions;
    const entries = this.#entries;
    const codes = this.#code;
    return {
      unit: after,
      patched: this.#patched,
      callbacks,
      states: after.requests.states,
      atoms: [...after.atoms, ...(this.#loadingOrder.neverKey ? [this.#loadingOrder.neverKey] : [])].filter(
        atom => this.#selected.has(atom),
      ),
      offered: this.#offered,
      resolve(reference) {
        const resolution = resolutions.get(reference);
        if (resolution === undefined) throw new RangeError('The reference belongs to no selected atom');
        return resolution;
      },
      codeOf: atom => codes.get(atom) ?? atom,
      entriesOf: atom => entries.get(atom) ?? [],
      unloadHazards: [...this.#hazards],
      diagnostics: [...this.#diagnostics, ...this.#loadingOrder.diagnostics],
    };
  }

  #patch(atom: Atom, reason: PatchReason): void {
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
    if (!this.#hasFtraceSite(atom)) {
      this.#diagnostics.push(
        diagnostic(
          'no-ftrace-site',
          place,
          `${atom.name}() cannot be patched: the shipped ${symbols.shipped.name} has no ftrace site in it`,
        ),
      );
      return;
    }
    this.#noteColdPart(old, atom);
    this.#noteThread(atom);
    // do_exit(): whoever is behind exit_notify() is on no list, and no stack check finds it.
    if (neverReturns(symbols.shipped, address, this.#input.arch)) {
      this.#hazards.add(
        `${atom.name}() does not return: a task that the kernel no longer lists may be in it`,
      );
    }
    this.#patched.push({ atom, oldName: old.name, oldSympos, reason });
    this.#add(atom);
  }

  /** Of what is not found in the shipped object {@link #patch} says so. */
  #hasFtraceSite(atom: Atom): boolean {
    const { symbols, placement } = this.#input;
    const old = this.#shippedAtom(atom);
    const address = old && placement.addressOf(old);
    if (old === undefined || address === undefined) return true;
    return symbols.shipped.hasFtraceSite(address, address + old.size - old.entry);
  }

  #noteThread(atom: Atom): void {
    const { after } = this.#input;
    this.#threads ??= findThreadFunctions(after, (user, reference) => this.#isBranch(user, reference));
    const isAlways = this.#input.symbols.shipped.name === vmlinux && alwaysOnStacks.has(atom.name);
    if (!isAlways && !this.#threads.has(atom)) return;
    const text = isAlways
      ? `${atom.name}() is on the stack of kernel threads as long as they sleep, and the transition waits for each of them`
      : `${atom.name}() is the main function of a thread, and the transition waits until each such thread has left it`;
    this.#diagnostics.push(diagnostic('thread-function', this.#place(atom), text));
  }

  /**
   * The kernel's stack check looks for redirected functions, and who jumped to the carried one is gone from the stack. That
   * is so of what runs, whatever the patch made of the jump.
   */
  #noteUnseen(carried: Atom): void {
    const { before, correlation } = this.#input;
    const old = correlation.beforeOf.get(carried);
    const isJumpedTo = before.atoms.some(
      user =>
        user !== old &&
        user.kind === 'function' &&
        !user.init &&
        user.references.some(
          reference =>
            reference.target.kind === 'atom' &&
            reference.target.atom === old &&
            this.#isTailCall(user, reference),
        ),
    );
    if (old === undefined || !isJumpedTo) return;
    const text = `a task that sleeps in the running kernel's ${carried.name}() is taken for one outside of it`;
    this.#diagnostics.push(diagnostic('carried-unseen', this.#place(carried), text));
  }

  #noteColdPart(old: Atom, atom: Atom): void {
    const { shippedTwins, placement, symbols, arch } = this.#input;
    this.#oldColdParts ??= new OldColdParts(shippedTwins, placement, symbols.shipped, arch);
    const cold = this.#oldColdParts.sleeperIn(old.name);
    if (cold === undefined) return;
    const text = `a task that sleeps in the running kernel's ${cold}() is taken for one outside of ${old.name}()`;
    this.#diagnostics.push(diagnostic('old-cold-part', this.#place(atom), text));
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

  #isNew(atom: Atom): boolean {
    const { beforeOf, ambiguous } = this.#input.correlation;
    return !beforeOf.has(atom) && !ambiguous.has(atom);
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
    const shortBranch = this.#input.after.shortBranches.get(atom);
    if (shortBranch !== undefined) {
      const text = `${atom.name}() has a branch of two bytes to a function that lies beside it in section '${atom.section.name}'`;
      this.#diagnostics.push(diagnostic('short-branch', this.#place(atom, shortBranch), text));
    }
    const parent = coldParentOf(atom.name);
    if (parent !== undefined) {
      this.#hazards.add(`${parent}() has a cold part, which the kernel's stack check does not cover`);
    }
  }

  #follow(atom: Atom): void {
    const { code, diagnostics } = readVariables(atom, this.#input.arch, at => this.#place(atom, at));
    this.#code.set(atom, code);
    this.#diagnostics.push(...diagnostics);
    for (const reference of code.references) this.#decide(atom, undefined, reference);
    const entries = [
      ...atom.entries
        .filter(entry => !isRuntimeConstant(entry))
        .map(entry => this.#loadingOrder.entry(atom, entry)),
      ...(atom.kind === 'function'
        ? this.#deadEnds.of(atom, this.#decoded(atom), reference => this.#resolutions.get(reference))
        : []),
    ];
    this.#entries.set(atom, entries);
    for (const entry of entries) {
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
    if (resolution.kind !== 'copy') return;
    if (resolution.atom.section.name === '__dyndbg') this.#noteDebugPrint(atom);
    this.#add(resolution.atom);
  }

  /** ddebug_add_module() takes the livepatch's `__dyndbg` as it does any module's; its keys are the livepatch's, too. */
  #noteDebugPrint(atom: Atom): void {
    const name = coldParentOf(atom.name) ?? atom.name;
    if (this.#debugPrints.has(name)) return;
    this.#debugPrints.add(name);
    const text = `the debug messages of ${name}() are listed under the name of the livepatch`;
    this.#diagnostics.push(diagnostic('debug-print-own', this.#place(atom), text));
  }

  #resolve(atom: Atom, entry: Entry | undefined, reference: Reference): Resolution | Diagnostic {
    const { symbols, placement, comparison, correlation } = this.#input;
    const { target } = reference;
    const place = this.#place(atom, entry === undefined ? reference.offset : entry.ownerOffset);
    if (target.kind === 'external') {
      // No kernel has a symbol of that name; kstitch.h declares it.
      if (target.name === wrapperSymbol) return { kind: 'wrapper', name: target.name };
      const address = placement.external(target.name);
      if (address !== undefined) {
        const landing = this.#isCode(atom, entry, reference)
          ? undefined
          : this.#landing(address, target, target.name, place);
        return landing ?? referenceAt(symbols, target.name, address, true, place);
      }
      const offered = this.#input.peers.offered.get(target.name);
      if (offered === undefined) {
        return referenceByName(symbols, target.name, place, this.#input.peers.published.has(target.name));
      }
      if (offered === 'function') this.#noteUse(atom, entry, reference, target.name);
      return { kind: 'peer', name: target.name };
    }
    const to = target.atom;
    if (to === this.#loadingOrder.neverKey) return { kind: 'copy', atom: to };
    if (comparison.isCopiedByContent(to)) {
      if (entry === undefined) this.#noteText(atom, reference, to);
      return { kind: 'copy', atom: to };
    }
    if (comparison.replaced.has(to)) return { kind: 'copy', atom: to };
    if (to.kind === 'function') {
      const parent = coldParentOf(to.name);
      if (parent === atom.name) return { kind: 'copy', atom: to };
      const isCode = this.#isCode(atom, entry, reference);
      // A place within a function belongs to it; its entry may be an address that it hands out, like that of any other.
      const isPlace = isCode || entry !== undefined || target.offset !== to.entry;
      if (isPlace && (to === atom || coldParentOf(atom.name) === to.name)) return { kind: 'copy', atom: to };
      if (this.#carriage.carried.has(to)) {
        this.#noteUse(atom, entry, reference, to.name);
        return { kind: 'copy', atom: to };
      }
      if (correlation.beforeOf.has(to)) {
        const isPatched = this.#carriage.redirected.has(to);
        if (isPatched && (isCode || entry !== undefined)) return { kind: 'copy', atom: to };
        return (
          (isCode ? undefined : this.#landing(this.#addressOf(to), target, to.name, place)) ??
          this.#running(to, place)
        );
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
    if (this.#makesAddress(atom, entry, reference)) {
      this.#hazards.add(`the address of the new '${to.name}' may be held by the kernel`);
    }
    return { kind: 'copy', atom: to };
  }

  /** With IBT a pointer to a function that has no landing pad, or whose pad was sealed at boot, is a crash when called. */
  #landing(address: Address | undefined, target: Target, name: string, place: Place): Diagnostic | undefined {
    const { shipped } = this.#input.symbols;
    if (address === undefined || !shipped.isFunction(address) || shipped.isIndirectTarget(address))
      return undefined;
    if (this.#isTakenBefore(target)) return undefined;
    const text = `takes the address of ${name}(), which the shipped ${shipped.name} calls directly only`;
    return diagnostic('ibt-not-a-target', place, text);
  }

  /** Nothing is new about `_stext`, which functions compare with and nobody calls, where the unit has it already. */
  #isTakenBefore(target: Target): boolean {
    const twin = target.kind === 'atom' ? this.#input.correlation.beforeOf.get(target.atom) : undefined;
    const isSame = (other: Target): boolean =>
      other.kind === 'atom' ? other.atom === twin : target.kind === 'external' && other.name === target.name;
    return [...this.#input.shippedTwins.keys()].some(atom =>
      atom.references.some(reference => isSame(reference.target) && !this.#isBranch(atom, reference)),
    );
  }

  #addressOf(atom: Atom): Address | undefined {
    const shipped = this.#shippedAtom(atom);
    return shipped && this.#input.placement.addressOf(shipped);
  }

  /** A function or object of this unit that the running kernel has. */
  #running(atom: Atom, place: Place): KernelReference | Diagnostic {
    const { symbols, placement } = this.#input;
    const shipped = this.#shippedAtom(atom);
    const address = shipped === undefined ? undefined : placement.addressOf(shipped);
    // A table that stays (tracepoints) is not placed unless code refers to it; a global name is unique all the same.
    if (address === undefined && atom.kept !== undefined && atom.symbol?.bind === STB.GLOBAL)
      return referenceByName(symbols, atom.name, place);
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

  /** What speaks against removing the module when a text of it is used here, or data of no name. */
  #noteText(atom: Atom, reference: Reference, to: Atom): void {
    if (atom.kind !== 'function' || to.kind === 'chunk') return;
    // Of the special statics, those that are texts.
    if (to.name !== '' && !/^__(?:func|FUNCTION|PRETTY_FUNCTION)__/.test(to.name)) return;
    if (this.#storesAddress(atom, reference)) {
      this.#hazards.add(`${atom.name}() stores the address of a text of the livepatch`);
    } else if (this.#makesAddress(atom, undefined, reference)) {
      const callee = nextCallee(atom, reference, other => this.#isBranch(atom, other));
      if (callee === undefined) this.#hazards.add(`${atom.name}() hands out a text of the livepatch`);
      else if (mayKeepText(callee))
        this.#hazards.add(`${callee}() may keep a text of the livepatch, which ${atom.name}() hands it`);
    }
  }

  #makesAddress(atom: Atom, entry: Entry | undefined, reference: Reference): boolean {
    if (entry !== undefined) return false;
    if (atom.kind !== 'function') return true;
    return this.#input.arch.takesAddress(atom.bytes, this.#decoded(atom), reference.offset);
  }

  #storesAddress(atom: Atom, reference: Reference): boolean {
    return (
      atom.kind === 'function' &&
      this.#input.arch.storesAddress(atom.bytes, this.#decoded(atom), reference.offset)
    );
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
    const instructions = this.#decoded(atom);
    return instructions.flows[instructionAt(instructions, reference.offset)] ?? Flow.other;
  }

  #decoded(atom: Atom): Instructions {
    let instructions = this.#instructions.get(atom);
    if (instructions === undefined) {
      instructions = this.#input.arch.decode(atom.bytes);
      this.#instructions.set(atom, instructions);
    }
    return instructions;
  }

  /** @param offset - in bytes from the start of the atom; none where all of it is meant */
  #place(atom: Atom, offset?: number): Place {
    const { after, symbols } = this.#input;
    return {
      unit: after.name,
      symbol: atom.name || atom.section.name,
      ...(offset === undefined ? {} : { offset: Math.max(0, offset - atom.entry) }),
      object: symbols.shipped.name,
    };
  }
}
