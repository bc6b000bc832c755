/** What is selected of one unit, and from what. */
import type { Architecture } from '@kstitch/arch/architecture';
import type { Instructions } from '@kstitch/arch/instructions';
import type { EntrySizes } from '@kstitch/arch/special-sections';
import type { Diagnostic } from '@kstitch/report/diagnostic';
import type { Comparison } from '../compare.ts';
import type { Correlation } from '../correlate.ts';
import type { Peers } from '../peers.ts';
import type { KernelReference, KernelSymbols } from '../references.ts';
import type { Placement } from '../run-pre/place-unit.ts';
import type { ShippedTwins } from '../run-pre/same-code.ts';
import type { Code } from '../runtime-constants.ts';
import type { Atom, Entry, Reference, RequestedState, Unit } from '../unit/atom.ts';
import type { SelectedCallback } from './callbacks.ts';
import type { PatchReason } from './carry-by-callers.ts';

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
