import { readAsset } from '@kstitch/host/asset';
import { authorHeader } from '@kstitch/livepatch/wrapper';
import type { AppliedPatch } from '../patch/apply-patch.ts';
import { holdLines } from '../patch/hold-lines.ts';
import type { IncludeGraph } from '../patch/include-graph.ts';
import type { KernelTree } from './kernel-tree.ts';
import { makeShadowTree } from './shadow-tree.ts';
import type { UnitCommand } from './unit-command.ts';

/** What the compiler counts: `held` gives untouched lines the numbers they had before (hold-lines.ts). */
export type LineNumbers = 'held' | 'as they stand';

/**
 * Makes the patched source of a kernel, with kstitch.h where the compiler looks for it.
 *
 * @param directory - an empty folder
 * @param graph - tells from where the changed files may be included
 * @param units - what is going to be compiled there
 * @throws KstitchError - `host-disk-full`, `host-file-failed`
 */
export async function layOutPatchedTree(
  kit: KernelTree,
  directory: string,
  patch: AppliedPatch,
  graph: IncludeGraph,
  units: readonly UnitCommand[],
  lineNumbers: LineNumbers = 'held',
): Promise<void> {
  const files = patch.files.map(({ path, before, after }) => ({
    path,
    text:
      before === undefined || after === undefined || lineNumbers !== 'held'
        ? after
        : holdLines(before, after).text,
  }));
  // Folders that a compiler command goes up from: `-I./drivers/a/../b`.
  const named = units.flatMap(({ spelling, args }) => [
    spelling,
    ...args.map(arg => `${arg.replace(/^-(?:I|iquote|isystem|include)\s*/, '')}/x`),
  ]);
  const includers = new Set(patch.files.flatMap(({ path }) => graph.includersOf(path)));
  const header = {
    path: `include/${authorHeader.name}`,
    text: readAsset(authorHeader.url),
  };
  await makeShadowTree(
    kit,
    directory,
    [...files, header],
    [
      ...named.filter(path => path.includes('../') && !path.startsWith('/') && !path.startsWith('-')),
      ...includers,
    ],
  );
}
