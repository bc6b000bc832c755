/** What the running kernel has of a unit: the after-unit's atoms, where they were there before the patch. */
import { STB } from '@kstitch/elf/constants';
import { type Diagnostic, diagnostic, type Place } from '@kstitch/report/diagnostic';
import { type KernelReference, referenceAt, referenceByName } from '../references.ts';
import type { Address } from '../run-pre/shipped-object.ts';
import type { Atom } from '../unit/atom.ts';
import type { SelectInput } from './selection.ts';

export class RunningUnit {
  readonly #input: Pick<SelectInput, 'after' | 'correlation' | 'shippedTwins' | 'placement' | 'symbols'>;

  constructor(input: SelectInput) {
    this.#input = input;
  }

  /** @returns the as-shipped unit's atom */
  twinOf(atom: Atom): Atom | undefined {
    const before = this.#input.correlation.beforeOf.get(atom);
    return before === undefined ? undefined : this.#input.shippedTwins.get(before);
  }

  addressOf(atom: Atom): Address | undefined {
    const shipped = this.twinOf(atom);
    return shipped && this.#input.placement.addressOf(shipped);
  }

  /** @returns whether the function can be redirected; true of one that the shipped object does not have */
  hasFtraceSite(atom: Atom): boolean {
    const old = this.twinOf(atom);
    const address = old && this.#input.placement.addressOf(old);
    if (old === undefined || address === undefined) return true;
    return this.#input.symbols.shipped.hasFtraceSite(address, address + old.size - old.entry);
  }

  /** @param place - where the function or object is referred to */
  reference(atom: Atom, place: Place): KernelReference | Diagnostic {
    const { symbols, placement } = this.#input;
    const shipped = this.twinOf(atom);
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

  /** @param offset - in bytes from the start of the atom; none where all of it is meant */
  place(atom: Atom, offset?: number): Place {
    const { after, symbols } = this.#input;
    return {
      unit: after.name,
      symbol: atom.name || atom.section.name,
      ...(offset === undefined ? {} : { offset: Math.max(0, offset - atom.entry) }),
      object: symbols.shipped.name,
    };
  }
}
