import { mkdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { x86_64 } from '@kstitch/arch/x86-64';
import { fileError } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import type { Side } from '@kstitch/review/source-text';
import { type GimpleDump } from '@kstitch/review/struct-access';
import type { Chain } from '@kstitch/review/why';
import { loadCompileDatabase } from './compile/compile-database.ts';
import { sectionFlags } from './compile/compile-unit.ts';
import type { KernelTree } from './compile/kernel-tree.ts';
import { layOutPatchedTree } from './compile/patched-tree.ts';
import type { UnitCommand } from './compile/unit-command.ts';
import { DebugObject } from './lines/debug-object.ts';
import type { AppliedPatch } from './patch/apply-patch.ts';
import { openSourceIndex } from './patch/source-index.ts';

/** Compiles units once more, to be asked which lines their code is made of. */
export interface LineReader {
  /** @returns what the compiler made of one side of a unit, its lines numbered as they stand in the file */
  compile(unit: UnitCommand, side: Side): Promise<UnitLines>;
}

export interface UnitLines {
  /** @returns the lines and inlined functions that functions of these names are made of, those of all together */
  chainsOf(names: readonly string[]): Promise<readonly Chain[]>;
  readonly dump: GimpleDump;
}

/** Bytes that are read of a dump: that of the largest unit has 30 MB. */
const maxDump = 128 * 1024 * 1024;

/**
 * @param units - all that will be asked about
 * @param directory - to be made
 */
export async function openLineReader(
  context: Context,
  kit: KernelTree,
  patch: AppliedPatch,
  units: readonly UnitCommand[],
  directory: string,
): Promise<LineReader> {
  const shadow = join(directory, 'source');
  await mkdir(shadow, { recursive: true }).catch((error: unknown) => {
    throw fileError(`make '${shadow}'`, error);
  });
  const { graph } = await openSourceIndex(context, kit, await loadCompileDatabase(kit));
  await layOutPatchedTree(kit, shadow, patch, graph, units, 'as they stand');
  return {
    compile: async (unit, side) => {
      const stem = join(directory, `${units.indexOf(unit)}-${side}`);
      const dumpPath = `${stem}.gimple`;
      const patched = side === 'after';
      const debug = await DebugObject.compile(context, unit, {
        workshop: kit.workshop,
        cwd: patched ? shadow : kit.paths.tree,
        output: `${stem}.o`,
        extraFlags: [...sectionFlags, `-fdump-tree-gimple-lineno=${dumpPath}`],
        patched,
      });
      const dump = await readFile(dumpPath, 'latin1').catch((error: unknown) => {
        throw fileError(`read '${dumpPath}'`, error);
      });
      await unlink(dumpPath);
      return {
        dump: { side, text: dump.slice(0, maxDump) },
        chainsOf: async names => {
          const chains: Chain[] = [];
          for (const name of names) chains.push(...(await chainsOf(debug, name)));
          const distinct = new Map(chains.map(chain => [JSON.stringify(chain), chain]));
          return [...distinct.values()];
        },
      };
    },
  };
}

/** @returns the lines of all instructions of a function; empty where the object has none of that name */
export async function chainsOf(debug: DebugObject, name: string): Promise<readonly Chain[]> {
  const symbol = debug.symbol(name);
  if (symbol?.section === undefined) return [];
  const start = Number(symbol.st_value);
  const code = x86_64.decode(symbol.section.bytes.subarray(start, start + Number(symbol.st_size)));
  return await debug.allLinesOf(symbol, code.starts);
}
