/**
 * What a changed header does to the parts of a kernel that no livepatch reaches: assembly, images of their own (the vDSO, the
 * boot loader stub), and what the build makes out of headers (asm-offsets.h, linker scripts, tables).
 *
 * Most headers that assembly or the vDSO include hold far more than these use. So being included is not enough: what the
 * unit comes to is held side by side, without and with the patch, and only a difference is refused.
 */

import type { Code } from '@kstitch/report/catalogue';
import type { Context } from '@kstitch/report/context';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { compileAll } from '../compile/compile-unit.ts';
import type { KernelTree } from '../compile/kernel-tree.ts';
import { listDependencies, runRecorded, translate } from '../compile/preprocess.ts';
import { outsideKernel, type UnitCommand } from '../compile/unit-command.ts';
import type { Workshop } from '../root/workshop.ts';
import type { KbuildRecord } from './kbuild-records.ts';

/** Something that a changed header may reach, and a livepatch may not. */
export interface OutOfReach {
  /** Units of assembly, and units that do not become kernel code, which may include a changed file. */
  readonly units: readonly UnitCommand[];
  /** What kbuild makes from a changed file. */
  readonly records: readonly KbuildRecord[];
}

/** One part of a kernel that a changed header changes. */
interface Effect {
  readonly code: Code;
  /** Of the changed files, the one that is named. */
  readonly header: string;
  /** `'arch/x86/lib/getuser.S', which is assembly` */
  readonly what: string;
}

/**
 * @param changed - headers, and sources that are included like headers
 * @param shadow - the patched tree
 * @returns one refusal for each kind of part that differs
 * @throws KstitchError - `host-tool-missing`, `interrupted`
 */
export async function findHeaderEffects(
  context: Context,
  kit: KernelTree,
  shadow: string,
  changed: ReadonlySet<string>,
  reached: OutOfReach,
): Promise<readonly Diagnostic[]> {
  const trees = [kit.paths.tree, shadow] as const;
  const ofUnits = reached.units.map(unit => ({
    label: `compare what ${unit.source} comes to`,
    work: async () => await effectOnUnit(context, kit.workshop, unit, trees, changed),
  }));
  const ofRecords = reached.records.map(record => ({
    label: `compare ${record.target}`,
    work: async () => await effectOnRecord(context, kit.workshop, record, trees, changed),
  }));
  const effects = (await compileAll(context, [...ofUnits, ...ofRecords])).filter(
    effect => effect !== undefined,
  );
  return [...Map.groupBy(effects, effect => effect.code)].map(([code, list]) => {
    const [first, ...more] = list.map(({ header, what }) => `'${header}' changes ${what}`);
    return diagnostic(code, { file: list[0]?.header ?? '' }, first ?? '', { notes: more });
  });
}

async function effectOnUnit(
  context: Context,
  workshop: Workshop,
  unit: UnitCommand,
  [tree, shadow]: readonly [string, string],
  changed: ReadonlySet<string>,
): Promise<Effect | undefined> {
  const dependencies = await listDependencies(context, workshop, unit, tree);
  // Where the compiler cannot tell, the text of the source has: it may be included.
  const header = (dependencies ?? [...changed]).find(path => changed.has(path));
  if (header === undefined) return undefined;
  const [before, after] = [
    await translate(context, workshop, unit, tree),
    await translate(context, workshop, unit, shadow),
  ];
  if (before !== undefined && before === after) return undefined;
  const partOf = outsideKernel(unit);
  return partOf === undefined
    ? { code: 'header-reaches-assembly', header, what: `'${unit.source}', which is assembly` }
    : { code: 'header-reaches-image', header, what: `'${unit.source}', which becomes part of ${partOf}` };
}

async function effectOnRecord(
  context: Context,
  workshop: Workshop,
  record: KbuildRecord,
  [tree, shadow]: readonly [string, string],
  changed: ReadonlySet<string>,
): Promise<Effect | undefined> {
  const header = record.inputs.find(path => changed.has(path));
  if (header === undefined) return undefined;
  const { target } = record;
  // Programs of the build are not run here: whatever they read may be what they make.
  if (!/\.(?:s|lds)$/.test(target))
    return { code: 'header-reaches-generator', header, what: `what the build makes as '${target}'` };
  const before = await runRecorded(context, workshop, record.command, tree);
  if (before !== undefined && before === (await runRecorded(context, workshop, record.command, shadow)))
    return undefined;
  return target.endsWith('.s')
    ? { code: 'header-reaches-offsets', header, what: `the constants that '${target}' holds` }
    : { code: 'header-reaches-generator', header, what: `the linker script '${target}'` };
}
