import type { Architecture } from '@kstitch/arch/architecture';
import type { EntrySizes } from '@kstitch/arch/special-sections';
import type { ElfFile } from '@kstitch/elf/model';
import { type Diagnostic, stopOnRefusals } from '@kstitch/report/diagnostic';
import { compareUnits } from './compare.ts';
import { correlate } from './correlate.ts';
import { carryUnchanged, type LeftOut, noteLeftOut, type UnpatchedUnit } from './identity.ts';
import { noPeers, type Peers } from './peers.ts';
import type { KernelSymbols } from './references.ts';
import { type PlacementFigures, placeUnit } from './run-pre/place-unit.ts';
import { compareBeforeToShipped } from './run-pre/same-code.ts';
import { select } from './select/select.ts';
import type { Selection } from './select/selection.ts';
import { readUnit } from './unit/read-unit.ts';

/** One unit, compiled three times. */
export interface CompiledUnit {
  /** Path of the source below the kernel tree: `fs/ext4/mballoc.c`. */
  readonly name: string;
  /** The unpatched source with the kernel's exact flags. */
  readonly asShipped: ElfFile;
  /** The same with -ffunction-sections -fdata-sections. */
  readonly before: ElfFile;
  /** The patched source with these, untouched lines at their old numbers. */
  readonly after: ElfFile;
  /** That the unit is not patched and its functions are carried all the same, but for those of these names. */
  readonly identityBut?: ReadonlySet<string>;
}

export interface UnitDifference {
  /** What goes into the livepatch; nothing where `selection.atoms` is empty. */
  readonly selection: Selection;
  readonly runPre: PlacementFigures & { readonly widthOnly: number };
  /** Functions that an identity livepatch does not carry. */
  readonly leftOut: readonly LeftOut[];
  /** Cautions and notes. */
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * From three objects of one unit to what must be in the livepatch.
 *
 * @param symbols - the shipped object that the unit is part of
 * @param peers - what the patched units of that object give each other
 * @throws Refusal - at the end of the first stage that finds something a livepatch cannot do
 * @throws KstitchError - `unit-malformed`
 */
export function diffUnit(
  unit: CompiledUnit,
  symbols: KernelSymbols,
  arch: Architecture,
  sizes: EntrySizes,
  peers: Peers = noPeers,
): UnitDifference {
  const asShipped = readUnit(unit.asShipped, unit.name, arch, sizes);
  const before = readUnit(unit.before, unit.name, arch, sizes, { movable: true });
  const after = readUnit(unit.after, unit.name, arch, sizes, { movable: true });

  // Does what we compile run there? Only then is a comparison of our objects one with the running kernel.
  const placed = placeUnit(asShipped, symbols.shipped, arch);
  stopOnRefusals(placed.diagnostics);

  // Function sections must not have changed the code: shipped callers have it inlined as shipped.
  const shippedTwins = compareBeforeToShipped(before, asShipped, arch);
  stopOnRefusals(shippedTwins.diagnostics);

  // From here on the before-object stands for the running kernel.
  const correlation = correlate(before, after);
  const comparison = compareUnits(before, after, correlation, arch);
  stopOnRefusals(comparison.diagnostics);

  const found: UnpatchedUnit = {
    before,
    after,
    correlation,
    comparison,
    shippedTwins: shippedTwins.twins,
    placement: placed.placement,
    symbols,
    peers,
    arch,
    sizes,
  };
  const { carried: changed, leftOut } =
    unit.identityBut === undefined
      ? { carried: comparison.changed, leftOut: [] }
      : carryUnchanged(found, unit.identityBut);

  const selection = select({ ...found, changed });
  stopOnRefusals(selection.diagnostics);

  return {
    selection,
    runPre: { ...placed.placement.figures, widthOnly: shippedTwins.widthOnly },
    leftOut,
    diagnostics: [
      ...placed.diagnostics,
      ...comparison.diagnostics,
      ...noteLeftOut(unit.name, symbols.shipped.name, leftOut),
      ...selection.diagnostics,
    ],
  };
}
