import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '@kstitch/report/context';
import type { AppliedPatch } from '../patch/apply-patch.ts';
import { holdLines } from '../patch/hold-lines.ts';
import { cachedCompile } from './cached-compile.ts';
import { compileAll, compileUnit, sectionFlags } from './compile-unit.ts';
import type { Toolchain } from './compiler.ts';
import type { KernelTree } from './kernel-tree.ts';
import { makeShadowTree } from './shadow-tree.ts';
import type { UnitCommand } from './unit-command.ts';

/** One unit, compiled without objtool. */
export interface UnitObjects {
  /** The unpatched source with the kernel's exact flags. */
  readonly asShipped: Uint8Array;
  /** The same with {@link sectionFlags}. */
  readonly before: Uint8Array;
  /** The patched source with these, untouched lines at their old numbers. */
  readonly after: Uint8Array;
}

/**
 * @param work - a folder for objects and the patched source; the caller removes it
 * @returns the objects of each unit, in the order of `commands`
 * @throws KstitchError - as {@link compileAll}
 */
export async function compileThrice(
  context: Context,
  kit: KernelTree,
  toolchain: Toolchain,
  patch: AppliedPatch,
  commands: readonly UnitCommand[],
  work: string,
): Promise<readonly UnitObjects[]> {
  const shadow = join(work, 'after');
  await mkdir(shadow);
  const files = patch.files.map(({ path, before, after }) => ({
    path,
    text: before === undefined || after === undefined ? after : holdLines(before, after).text,
  }));
  await makeShadowTree(kit, shadow, files, commands.map(command => command.spelling));

  const jobs = commands.flatMap((command, i) => [
    {
      label: `compile ${command.source} (as shipped)`,
      work: () => cachedCompile(context, kit, command, { output: join(work, `${i}.shipped.o`), toolchain }),
    },
    {
      label: `compile ${command.source} (before)`,
      work: () =>
        cachedCompile(context, kit, command, { output: join(work, `${i}.before.o`), extraFlags: sectionFlags, toolchain }),
    },
    {
      label: `compile ${command.source} (after)`,
      work: async () => {
        const output = join(work, `${i}.after.o`);
        const options = { cwd: shadow, output, extraFlags: sectionFlags, patched: true };
        return (await compileUnit(context, command, options)).bytes;
      },
    },
  ]);
  const objects = await compileAll(context, jobs);
  return commands.map((_, i) => ({
    asShipped: objects[3 * i] as Uint8Array,
    before: objects[3 * i + 1] as Uint8Array,
    after: objects[3 * i + 2] as Uint8Array,
  }));
}

