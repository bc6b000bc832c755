/**
 * Select: the changed functions, and with them everything that they reach and that the running kernel does not have.
 *
 * The closure starts at the changed functions and the callbacks: a new function that nothing reaches stays out. Every reference met
 * on the way is decided once (resolve-reference.ts); after this stage no reference is open.
 */
import { STB } from '@kstitch/elf/constants';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { symposOf } from '../references.ts';
import { type Code, isRuntimeConstant, readVariables } from '../runtime-constants.ts';
import type { Atom, Entry, Reference } from '../unit/atom.ts';
import { coldParentOf } from '../unit/names.ts';
import { selectCallbacks } from './callbacks.ts';
import { type Carriage, carryByCallers, type PatchReason } from './carry-by-callers.ts';
import { CodeUses } from './code-uses.ts';
import { DeadEnds } from './dead-ends.ts';
import { LoadingOrder } from './loading-order.ts';
import { neverReturns } from './never-returns.ts';
import { ReferenceResolver } from './resolve-reference.ts';
import { RunningUnit } from './running-unit.ts';
import type { PatchedFunction, Resolution, SelectInput, Selection } from './selection.ts';
import { StackCautions } from './stack-cautions.ts';
import { UnloadHazards } from './unload-hazards.ts';

export function select(input: SelectInput): Selection {
  return new Selector(input).run();
}

class Selector {
  readonly #input: SelectInput;
  readonly #running: RunningUnit;
  readonly #uses: CodeUses;
  readonly #carriage: Carriage;
  readonly #references: ReferenceResolver;
  readonly #loadingOrder: LoadingOrder;
  readonly #deadEnds: DeadEnds;
  readonly #cautions: StackCautions;
  readonly #hazards: UnloadHazards;
  readonly #selected = new Set<Atom>();
  readonly #pending: Atom[] = [];
  readonly #code = new Map<Atom, Code>();
  readonly #entries = new Map<Atom, readonly Entry[]>();
  readonly #resolutions = new Map<Reference, Resolution>();
  readonly #patched: PatchedFunction[] = [];
  readonly #offered: Atom[] = [];
  readonly #debugPrints = new Set<string>();
  readonly #diagnostics: Diagnostic[] = [];

  constructor(input: SelectInput) {
    this.#input = input;
    this.#running = new RunningUnit(input);
    this.#uses = new CodeUses(input.arch, input.instructions ?? new Map());
    this.#carriage = carryByCallers({
      ...input,
      canRedirect: atom => this.#running.hasFtraceSite(atom),
      isBranch: (atom, reference) => this.#uses.isBranch(atom, reference),
    });
    this.#hazards = new UnloadHazards(this.#uses);
    this.#references = new ReferenceResolver(
      { ...input, carriage: this.#carriage },
      this.#running,
      this.#uses,
      this.#hazards,
    );
    this.#loadingOrder = new LoadingOrder({
      symbols: input.symbols,
      sizes: input.sizes,
      freeId: input.after.atoms.length,
      resolve: (atom, entry, reference) => this.#references.resolve(atom, entry, reference),
      placeOf: (atom, offset) => this.#running.place(atom, offset),
    });
    this.#deadEnds = new DeadEnds(input.after, input.symbols, input.arch);
    this.#cautions = new StackCautions(input, this.#running, this.#uses);
  }

  run(): Selection {
    const { after } = this.#input;
    for (const [atom, reason] of this.#carriage.redirected) this.#patch(atom, reason);
    for (const atom of this.#carriage.carried) this.#diagnostics.push(...this.#cautions.ofCarried(atom));
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
      unloadHazards: this.#hazards.found,
      diagnostics: [...this.#diagnostics, ...this.#loadingOrder.diagnostics],
    };
  }

  #patch(atom: Atom, reason: PatchReason): void {
    const { symbols, placement, arch } = this.#input;
    const { shipped } = symbols;
    const place = this.#running.place(atom, 0);
    const old = this.#running.twinOf(atom);
    if (old !== undefined && placement.isOverridden(old)) {
      this.#diagnostics.push(
        diagnostic('weak-overridden', place, `${atom.name}() is overridden by another unit`),
      );
      return;
    }
    const address = old && placement.addressOf(old);
    const oldSympos =
      old === undefined || address === undefined ? undefined : symposOf(shipped, old.name, address);
    if (old === undefined || address === undefined || oldSympos === undefined) {
      this.#diagnostics.push(
        diagnostic('symbol-unresolved', place, `the shipped ${shipped.name} has no ${atom.name}()`),
      );
      return;
    }
    if (!this.#running.hasFtraceSite(atom)) {
      const text = `${atom.name}() cannot be patched: the shipped ${shipped.name} has no ftrace site in it`;
      this.#diagnostics.push(diagnostic('no-ftrace-site', place, text));
      return;
    }
    this.#diagnostics.push(...this.#cautions.ofRedirected(atom, old));
    if (neverReturns(shipped, address, arch)) this.#hazards.noteNoReturn(atom);
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
    const { namedByUnknown, shortBranches } = this.#input.after;
    const table = namedByUnknown.get(atom);
    if (table !== undefined) {
      const text = `section '${table}', for which there is no rule, refers to '${atom.name || atom.section.name}'`;
      this.#diagnostics.push(diagnostic('section-unsupported', this.#running.place(atom, 0), text));
    }
    const shortBranch = shortBranches.get(atom);
    if (shortBranch !== undefined) {
      const text = `${atom.name}() has a branch of two bytes to a function that lies beside it in section '${atom.section.name}'`;
      this.#diagnostics.push(diagnostic('short-branch', this.#running.place(atom, shortBranch), text));
    }
    this.#hazards.noteColdPart(atom);
  }

  #follow(atom: Atom): void {
    const { code, diagnostics } = readVariables(atom, this.#input.arch, at => this.#running.place(atom, at));
    this.#code.set(atom, code);
    this.#diagnostics.push(...diagnostics);
    for (const reference of code.references) this.#decide(atom, undefined, reference);
    const entries = [
      ...atom.entries
        .filter(entry => !isRuntimeConstant(entry))
        .map(entry => this.#loadingOrder.entry(atom, entry)),
      ...(atom.kind === 'function'
        ? this.#deadEnds.of(atom, this.#uses.decoded(atom), reference => this.#resolutions.get(reference))
        : []),
    ];
    this.#entries.set(atom, entries);
    for (const entry of entries) {
      for (const reference of entry.references) this.#decide(atom, entry, reference);
    }
  }

  #decide(atom: Atom, entry: Entry | undefined, reference: Reference): void {
    const resolution = this.#references.resolve(atom, entry, reference);
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
    this.#diagnostics.push(diagnostic('debug-print-own', this.#running.place(atom), text));
  }
}
