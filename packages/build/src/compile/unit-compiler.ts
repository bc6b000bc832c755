import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExportTypes } from '@kstitch/diff/layout/compare-exports';
import { fileError } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import type { AppliedPatch } from '../patch/apply-patch.ts';
import { openSourceIndex } from '../patch/source-index.ts';
import { cachedCompile } from './cached-compile.ts';
import { loadCompileDatabase } from './compile-database.ts';
import { type CompileJob, compileUnit, sectionFlags } from './compile-unit.ts';
import type { Toolchain } from './compiler.ts';
import { readExportTypes } from './export-types.ts';
import type { KernelTree } from './kernel-tree.ts';
import { layOutPatchedTree } from './patched-tree.ts';
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

/** The ways of compiling a unit, in the words of the progress display. */
export const compilations = ['as shipped', 'before', 'patched'] as const;
export type Compilation = (typeof compilations)[number];

/** Compiles units of one kernel without and with a patch. */
export interface UnitCompiler {
  /** @returns what to do for one object; its bytes are in memory only */
  readonly job: (unit: UnitCommand, way: Compilation) => CompileJob<Uint8Array>;
  /**
   * @returns what to do for an object that holds every type of the unit (`.BTF`), used or not; its code is of no use. A
   *   compilation of its own: the objects above are compared byte for byte and must not differ by a type
   */
  readonly typesJob: (unit: UnitCommand, way: 'before' | 'patched') => CompileJob<Uint8Array>;
  /** @returns what to do for the types of what the unit exports */
  readonly exportsJob: (unit: UnitCommand, way: 'before' | 'patched') => CompileJob<ExportTypes | undefined>;
  /** Where the object of a `patched` job is left. */
  readonly patchedObject: (unit: UnitCommand) => string;
}

/**
 * gcc leaves out types that only sizeof, offsetof or a declaration names, unless told otherwise.
 */
const typeFlags = ['-gbtf', '-fno-eliminate-unused-debug-types'] as const;

/**
 * @param units - all that will be asked for
 * @param directory - an empty folder to work in
 * @throws KstitchError - `host-disk-full`, `host-file-failed`
 */
export async function openUnitCompiler(
  context: Context,
  kit: KernelTree,
  toolchain: Toolchain,
  patch: AppliedPatch,
  units: readonly UnitCommand[],
  directory: string,
): Promise<UnitCompiler> {
  const shadow = join(directory, 'source');
  await mkdir(shadow).catch((error: unknown) => {
    throw fileError(`make '${shadow}'`, error);
  });
  const { graph } = await openSourceIndex(context, kit, await loadCompileDatabase(kit));
  await layOutPatchedTree(kit, shadow, patch, graph, units);
  const numbers = new Map(units.map((unit, index) => [unit, index]));
  const outputOf = (unit: UnitCommand, way: Compilation) =>
    join(directory, `${numbers.get(unit)}-${compilations.indexOf(way)}.o`);
  const compile = async (unit: UnitCommand, way: Compilation): Promise<Uint8Array> => {
    const output = outputOf(unit, way);
    switch (way) {
      case 'as shipped':
        return await cachedCompile(context, kit, unit, { output, toolchain });
      case 'before':
        return await cachedCompile(context, kit, unit, { output, toolchain, extraFlags: sectionFlags });
      case 'patched':
        return await compileUnit(context, unit, {
          workshop: kit.workshop,
          cwd: shadow,
          output,
          extraFlags: sectionFlags,
          patched: true,
        });
    }
  };
  return {
    job: (unit, way) => ({
      label: `compile ${unit.source} (${way})`,
      work: async () => await compile(unit, way),
    }),
    typesJob: (unit, way) => ({
      label: `read the types of ${unit.source} (${way})`,
      work: async () => {
        // Whatever kbuild asks for besides, gcc writes too: DWARF is ten times as large.
        const plain = { ...unit, args: unit.args.filter(arg => !/^-g(?:dwarf.*|\d)?$/.test(arg)) };
        const output = join(directory, `${numbers.get(unit)}-types-${way}.o`);
        return way === 'before'
          ? await cachedCompile(context, kit, plain, { output, toolchain, extraFlags: typeFlags })
          : await compileUnit(context, plain, {
              workshop: kit.workshop,
              cwd: shadow,
              output,
              extraFlags: typeFlags,
              patched: true,
            });
      },
    }),
    exportsJob: (unit, way) => ({
      label: `read what ${unit.source} exports (${way})`,
      work: async () => {
        const dump = join(directory, `${numbers.get(unit)}-${way}.symtypes`);
        return await readExportTypes(context, kit, unit, way === 'before' ? kit.paths.tree : shadow, dump);
      },
    }),
    patchedObject: unit => outputOf(unit, 'patched'),
  };
}
