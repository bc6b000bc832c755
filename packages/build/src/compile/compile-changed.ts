import { readFile, unlink } from 'node:fs/promises';
import { compareExports, type ExportChange, type ExportTypes } from '@kstitch/diff/layout/compare-exports';
import { compareTypes, type TypeChange } from '@kstitch/diff/layout/compare-layouts';
import { readTypeTable, type TypeTable } from '@kstitch/diff/layout/type-table';
import { readElf } from '@kstitch/elf/read';
import { fileError } from '@kstitch/host/files';
import { readBtf } from '@kstitch/kernel/btf';
import type { Context } from '@kstitch/report/context';
import type { AppliedPatch } from '../patch/apply-patch.ts';
import { compileAll } from './compile-unit.ts';
import type { Toolchain } from './compiler.ts';
import { exportsSomething } from './export-types.ts';
import type { KernelTree } from './kernel-tree.ts';
import type { UnitCommand } from './unit-command.ts';
import { openUnitCompiler, type UnitObjects } from './unit-compiler.ts';

/** A unit whose object is another one with the patch. */
export interface ChangedUnit {
  readonly command: UnitCommand;
  /** @returns its objects, read anew each time: of many units no more than one needs to be in memory */
  load(): Promise<UnitObjects>;
  /** What the patch changes about the types of the unit. */
  readonly typeChanges: readonly TypeChange[];
  /** Symbols that it exports with another CRC than before. */
  readonly exportChanges: readonly ExportChange[];
}

/**
 * Compiles units without and with a patch, on all cores. A header may affect hundreds of units and change the code of two:
 * where both objects are the same, byte for byte, the unit is done with. The others are compiled as shipped besides.
 *
 * Objects wait on disk: memory does not grow with the number of units.
 *
 * @param directory - an empty folder to work in, kept until the last unit was loaded
 * @param wanted - `all`: also the units that do not differ
 * @returns the units that differ, in the order of `units`
 * @throws Refusal - `compile-error`, of all units together
 * @throws KstitchError - `compile-unpatched-failed`, `host-disk-full`, `interrupted`
 */
export async function compileChanged(
  context: Context,
  kit: KernelTree,
  toolchain: Toolchain,
  patch: AppliedPatch,
  units: readonly UnitCommand[],
  directory: string,
  wanted: 'differing' | 'all' = 'differing',
): Promise<readonly ChangedUnit[]> {
  const compiler = await openUnitCompiler(context, kit, toolchain, patch, units, directory);

  const patchedBytes = async (unit: UnitCommand) =>
    await readFile(compiler.patchedObject(unit)).catch((error: unknown) => {
      throw fileError(`read '${compiler.patchedObject(unit)}'`, error);
    });

  // The first of a unit's two objects waits for the other, which is next in the queue.
  const waiting = new Map<UnitCommand, Uint8Array>();
  const changed = new Set(wanted === 'all' ? units : []);
  const meet = async (unit: UnitCommand, bytes: Uint8Array) => {
    const other = waiting.get(unit);
    if (other === undefined) {
      waiting.set(unit, bytes);
      return;
    }
    waiting.delete(unit);
    if (Buffer.compare(bytes, other) !== 0) changed.add(unit);
    else if (!changed.has(unit)) await unlink(compiler.patchedObject(unit)).catch(() => {});
  };
  const both = units.flatMap(unit =>
    (['before', 'patched'] as const).map(way => {
      const { label, work } = compiler.job(unit, way);
      return { label, work: async () => await meet(unit, await work()) };
    }),
  );
  await compileAll(context, both);

  // The first goes into the cache, where load() finds it. Of types what changed is kept, as soon as both sides are there.
  const rest = units.filter(unit => changed.has(unit));
  const oneSide = new Map<UnitCommand, TypeTable>();
  const typeChanges = new Map<UnitCommand, readonly TypeChange[]>();
  const meetTypes = (unit: UnitCommand, way: 'before' | 'patched', bytes: Uint8Array) => {
    const table = readTypeTable(readBtf(readElf(bytes, `${unit.object} (${way})`)));
    const other = oneSide.get(unit);
    if (other === undefined) {
      oneSide.set(unit, table);
      return;
    }
    oneSide.delete(unit);
    typeChanges.set(unit, way === 'patched' ? compareTypes(other, table) : compareTypes(table, other));
  };
  const exporting = new Set<UnitCommand>();
  for (const unit of wanted === 'all' ? [] : rest)
    if (exportsSomething(readElf(await patchedBytes(unit), unit.object))) exporting.add(unit);
  const exported = new Map<UnitCommand, { before?: ExportTypes; patched?: ExportTypes }>();
  await compileAll(
    context,
    rest.flatMap(unit => {
      const { label, work } = compiler.job(unit, 'as shipped');
      // What is not patched has one set of types.
      const sides = wanted === 'all' ? [] : (['before', 'patched'] as const);
      const types = sides.map(way => {
        const job = compiler.typesJob(unit, way);
        return { label: job.label, work: async () => meetTypes(unit, way, await job.work()) };
      });
      const exports = exporting.has(unit)
        ? sides.map(way => {
            const job = compiler.exportsJob(unit, way);
            const read = async () => {
              const found = await job.work();
              exported.set(unit, { ...exported.get(unit), ...(found && { [way]: found }) });
            };
            return { label: job.label, work: read };
          })
        : [];
      const shipped = {
        label,
        work: async () => {
          await work();
        },
      };
      return [shipped, ...types, ...exports];
    }),
  );
  return rest.map(command => ({
    command,
    typeChanges: typeChanges.get(command) ?? [],
    exportChanges: exportChangesOf(exported.get(command)),
    load: async () => ({
      asShipped: await compiler.job(command, 'as shipped').work(),
      before: await compiler.job(command, 'before').work(),
      after: await patchedBytes(command),
    }),
  }));
}

function exportChangesOf(
  found: { readonly before?: ExportTypes; readonly patched?: ExportTypes } | undefined,
): readonly ExportChange[] {
  const { before, patched } = found ?? {};
  return before === undefined || patched === undefined ? [] : compareExports(before, patched);
}
