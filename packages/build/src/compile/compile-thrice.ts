import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import type { AppliedPatch } from '../patch/apply-patch.ts';
import { holdLines } from '../patch/hold-lines.ts';
import { cachedCompile } from './cached-compile.ts';
import { compileAll, compileUnit, sectionFlags } from './compile-unit.ts';
import type { Toolchain } from './compiler.ts';
import type { KernelTree } from './kernel-tree.ts';
import { makeShadowTree } from './shadow-tree.ts';
import type { UnitCommand } from './unit-command.ts';

/** One unit, compiled in three ways; the bytes of relocatable objects that objtool has not seen. */
export interface UnitObjects {
  /** With the flags of the shipped kernel and nothing else: what the run-pre match holds against the image. */
  readonly asShipped: Uint8Array;
  /** One section a function and a data object. */
  readonly before: Uint8Array;
  /** The same of the patched source, its untouched lines numbered as before. */
  readonly after: Uint8Array;
}

/**
 * @param directory - an empty folder to work in
 * @returns the objects in the order of `units`
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
  const shadow = join(directory, 'source');
  await mkdir(shadow).catch((error: unknown) => {
    throw fileError(`make '${shadow}'`, error);
  });
  const files = patch.files.map(({ path, before, after }) => ({
    path,
    text: before === undefined || after === undefined ? after : holdLines(before, after).text,
  }));
  await makeShadowTree(
    kit,
    shadow,
    files,
    units.map(unit => unit.spelling),
  );

  const ways = [
    [
      'as shipped',
      (unit: UnitCommand, output: string) => cachedCompile(context, kit, unit, { output, toolchain }),
    ],
    [
      'before',
      (unit: UnitCommand, output: string) =>
        cachedCompile(context, kit, unit, { output, toolchain, extraFlags: sectionFlags }),
    ],
    [
      'patched',
      async (unit: UnitCommand, output: string) =>
        (await compileUnit(context, unit, { cwd: shadow, output, extraFlags: sectionFlags, patched: true }))
          .bytes,
    ],
  ] as const;
  const jobs = units.flatMap((unit, index) =>
    ways.map(([way, compile], number) => ({
      label: `compile ${unit.source} (${way})`,
      work: () => compile(unit, join(directory, `${index}-${number}.o`)),
    })),
  );
  const objects = await compileAll(context, jobs);
  return units.map((_, index) => {
    const [asShipped, before, after] = objects.slice(index * ways.length);
    if (asShipped === undefined || before === undefined || after === undefined) {
      throw new RangeError('Cannot take apart the objects: some are missing');
    }
    return { asShipped, before, after };
  });
}
