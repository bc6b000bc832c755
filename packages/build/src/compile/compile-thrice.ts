import type { Context } from '@kstitch/report/context';
import type { AppliedPatch } from '../patch/apply-patch.ts';
import { compileAll } from './compile-unit.ts';
import type { Toolchain } from './compiler.ts';
import type { KernelTree } from './kernel-tree.ts';
import type { UnitCommand } from './unit-command.ts';
import { compilations, openUnitCompiler, type UnitObjects } from './unit-compiler.ts';

/**
 * @param directory - an empty folder to work in
 * @returns the objects in the order of `units`, all in memory: for a few units
 * @throws Refusal - `compile-error`, of all units together
 * @throws KstitchError - `compile-unpatched-failed`, `host-disk-full`, `interrupted`
 */
export async function compileThrice(
  context: Context,
  kit: KernelTree,
  toolchain: Toolchain,
  patch: AppliedPatch,
  units: readonly UnitCommand[],
  directory: string,
): Promise<readonly UnitObjects[]> {
  const compiler = await openUnitCompiler(context, kit, toolchain, patch, units, directory);
  const jobs = units.flatMap(unit => compilations.map(way => compiler.job(unit, way)));
  const objects = await compileAll(context, jobs);
  return units.map((_, index) => {
    const [asShipped, before, after] = objects.slice(index * compilations.length);
    if (asShipped === undefined || before === undefined || after === undefined) {
      throw new RangeError('Cannot take apart the objects: some are missing');
    }
    return { asShipped, before, after };
  });
}
