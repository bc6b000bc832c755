/** What a reference of a selected atom means: each is decided here, by the one table of references.ts where it leaves the unit. */
import { hasFlag, SHF } from '@kstitch/elf/constants';
import { type Diagnostic, diagnostic, type Place } from '@kstitch/report/diagnostic';
import { referenceAt, referenceByName } from '../references.ts';
import type { Address } from '../run-pre/shipped-object.ts';
import type { Atom, Entry, Reference, Target } from '../unit/atom.ts';
import { coldParentOf } from '../unit/names.ts';
import type { Carriage } from './carry-by-callers.ts';
import type { CodeUses } from './code-uses.ts';
import type { RunningUnit } from './running-unit.ts';
import type { Resolution, SelectInput } from './selection.ts';
import type { UnloadHazards } from './unload-hazards.ts';

/** The livepatch's `struct klp_patch` (packages/livepatch/templates: wrapper.c, kstitch.h). */
const wrapperSymbol = 'kstitch_patch';

export class ReferenceResolver {
  readonly #input: SelectInput & { readonly carriage: Carriage };
  readonly #running: RunningUnit;
  readonly #uses: CodeUses;
  readonly #hazards: UnloadHazards;

  /** @param hazards - where what a reference means for the removal of the module is noted */
  constructor(
    input: SelectInput & { readonly carriage: Carriage },
    running: RunningUnit,
    uses: CodeUses,
    hazards: UnloadHazards,
  ) {
    this.#input = input;
    this.#running = running;
    this.#uses = uses;
    this.#hazards = hazards;
  }

  /** @param entry - of the atom, where the reference is one of a special-section entry */
  resolve(atom: Atom, entry: Entry | undefined, reference: Reference): Resolution | Diagnostic {
    const { symbols, placement, comparison, correlation, peers, carriage } = this.#input;
    const { target } = reference;
    const place = this.#running.place(atom, entry === undefined ? reference.offset : entry.ownerOffset);
    if (target.kind === 'external') {
      // No kernel has a symbol of that name; kstitch.h declares it.
      if (target.name === wrapperSymbol) return { kind: 'wrapper', name: target.name };
      const address = placement.external(target.name);
      if (address !== undefined) {
        const landing = this.#uses.isCode(atom, entry, reference)
          ? undefined
          : this.#landing(address, target, target.name, place);
        return landing ?? referenceAt(symbols, target.name, address, true, place);
      }
      const offered = peers.offered.get(target.name);
      if (offered === undefined) {
        return referenceByName(symbols, target.name, place, peers.published.has(target.name));
      }
      if (offered === 'function') this.#hazards.noteFunction(atom, entry, reference, target.name);
      return { kind: 'peer', name: target.name };
    }
    const boundary = this.#boundary(atom, entry, reference, target, place);
    if (boundary !== undefined) return boundary;
    const to = target.atom;
    if (comparison.isCopiedByContent(to)) {
      if (entry === undefined) this.#hazards.noteText(atom, reference, to);
      return { kind: 'copy', atom: to };
    }
    if (comparison.replaced.has(to)) return { kind: 'copy', atom: to };
    if (to.kind === 'function') {
      const parent = coldParentOf(to.name);
      if (parent === atom.name) return { kind: 'copy', atom: to };
      const isCode = this.#uses.isCode(atom, entry, reference);
      // A place within a function belongs to it; its entry may be an address that it hands out, like that of any other.
      const isPlace = isCode || entry !== undefined || target.offset !== to.entry;
      if (isPlace && (to === atom || coldParentOf(atom.name) === to.name)) return { kind: 'copy', atom: to };
      if (carriage.carried.has(to)) {
        this.#hazards.noteFunction(atom, entry, reference, to.name);
        return { kind: 'copy', atom: to };
      }
      if (correlation.beforeOf.has(to)) {
        const isPatched = carriage.redirected.has(to);
        if (isPatched && (isCode || entry !== undefined)) return { kind: 'copy', atom: to };
        return (
          (isCode ? undefined : this.#landing(this.#running.addressOf(to), target, to.name, place)) ??
          this.#running.reference(to, place)
        );
      }
      if (correlation.ambiguous.has(to)) return this.#ambiguous(to, place);
      this.#hazards.noteFunction(atom, entry, reference, to.name);
      return { kind: 'copy', atom: to };
    }
    if (to.init)
      return diagnostic(
        'init-memory-reference',
        place,
        `refers to '${to.name || to.section.name}', which was freed after boot`,
      );
    if (correlation.beforeOf.has(to)) return this.#running.reference(to, place);
    if (correlation.ambiguous.has(to)) return this.#ambiguous(to, place);
    if (to.kept !== undefined || (to.name === '' && hasFlag(to.section.sh_flags, SHF.WRITE))) {
      return diagnostic(
        'section-unsupported',
        place,
        `'${to.name || to.section.name}' lies in section '${to.section.name}', for which there is no rule`,
      );
    }
    this.#hazards.noteObject(atom, entry, reference, to.name);
    return { kind: 'copy', atom: to };
  }

  /**
   * `&b`, or the end of the `a` before it: the same as long as both lie as they do in the running kernel. Who reads `b` by
   * its place alone does not mean the end of anything.
   */
  #boundary(
    atom: Atom,
    entry: Entry | undefined,
    reference: Reference,
    { atom: next, orEndOf: ending }: Extract<Target, { kind: 'atom' }>,
    place: Place,
  ): Diagnostic | undefined {
    if (ending === undefined || entry !== undefined || this.#uses.readsPlace(atom, reference))
      return undefined;
    const { correlation, comparison } = this.#input;
    // Those of macros are no arrays.
    if (correlation.specialStatics.has(ending) || ending.kept !== undefined) return undefined;
    const [start, end] = [next, ending].map(each =>
      comparison.isCopiedByContent(each) || comparison.replaced.has(each)
        ? undefined
        : this.#running.addressOf(each),
    );
    if (start !== undefined && end !== undefined && start === end + ending.size) return undefined;
    const text = `in section '${next.section.name}' the start of '${next.name}' is the end of '${ending.name}', and the patch changes what lies there`;
    return diagnostic('boundary-ambiguous', place, text);
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
      atom.references.some(reference => isSame(reference.target) && !this.#uses.isBranch(atom, reference)),
    );
  }

  #ambiguous(atom: Atom, place: Place): Diagnostic {
    return diagnostic(
      'correlation-ambiguous',
      place,
      `nothing tells which symbol of the running kernel '${atom.name}' is`,
    );
  }
}
