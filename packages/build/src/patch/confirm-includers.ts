import { availableParallelism } from 'node:os';
import type { Context } from '@kstitch/report/context';
import { compileAll } from '../compile/compile-unit.ts';
import type { KernelTree } from '../compile/kernel-tree.ts';
import { listDependencies } from '../compile/preprocess.ts';
import type { UnitCommand } from '../compile/unit-command.ts';

/**
 * Asks the compiler which units include a changed file, on all cores.
 *
 * @param units - those whose text says that they may
 * @param most - one more than this is enough to know
 * @returns the units that do, in the order given, at most `most + 1`
 * @throws KstitchError - `host-tool-missing`, `interrupted`
 */
export async function confirmIncluders(
  context: Context,
  kit: KernelTree,
  changed: ReadonlySet<string>,
  units: readonly UnitCommand[],
  most: number,
): Promise<readonly UnitCommand[]> {
  const confirmed: UnitCommand[] = [];
  if (units.length === 0) return confirmed;
  return await context.progress.step('find the units that include what is changed', async update => {
    // Batch after batch, so that the answer does not depend on which compiler was faster.
    const batch = 8 * availableParallelism();
    for (let done = 0; done < units.length && confirmed.length <= most; done += batch) {
      const jobs = units.slice(done, done + batch).map(unit => ({
        label: `ask what ${unit.source} includes`,
        work: async () => {
          const files = await listDependencies(context, kit.workshop, unit, kit.paths.tree);
          // A unit that the compiler cannot read is compiled, which says why.
          return files === undefined || files.some(path => changed.has(path)) ? [unit] : [];
        },
      }));
      for (const found of await compileAll(context, jobs)) confirmed.push(...found);
      update(`${Math.min(done + batch, units.length)} of ${units.length}`);
    }
    return confirmed.slice(0, Math.max(0, most) + 1);
  });
}
