/** What `build` and `review` are given: patches, and with `--on` the livepatches that they come on top of. */
import { basename } from 'node:path';
import type { PatchText } from '@kstitch/build/patch/parse-patch';
import type { Bundle } from '@kstitch/livepatch/bundle';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { inputKinds, readInput, readInputText } from './input-file.ts';

export interface PatchWords {
  readonly bundlePaths: readonly string[];
  readonly patchPaths: readonly string[];
}

/**
 * `--on` takes as many words as follow: those that name no bundle are patches (`build --on old.json new.patch`).
 *
 * @throws KstitchError - `usage`
 */
export function sortWords(paths: readonly string[], on: readonly string[] | undefined): PatchWords {
  const bundlePaths = (on ?? []).filter(word => word.endsWith('.json'));
  const patchPaths = [...paths, ...(on ?? []).filter(word => !word.endsWith('.json'))];
  if (on !== undefined && bundlePaths.length === 0)
    throw new KstitchError('usage', "option '--on' needs a bundle: the NAME.json of an earlier livepatch");
  if (bundlePaths.length + patchPaths.length === 0)
    throw new KstitchError('usage', "missing required argument 'patch'");
  return { bundlePaths, patchPaths };
}

/** @throws KstitchError - where one cannot be read, or is no bundle */
export async function readPatchWords(
  context: Context,
  { bundlePaths, patchPaths }: PatchWords,
): Promise<{ readonly on: readonly Bundle[]; readonly patches: readonly PatchText[] }> {
  const { parseBundle } = await import('@kstitch/livepatch/bundle');
  const on: Bundle[] = [];
  for (const path of bundlePaths)
    on.push(parseBundle(await readInputText(path, inputKinds.bundle, context.signal), basename(path)));
  const patches: PatchText[] = [];
  for (const path of patchPaths) {
    const name = path === '-' ? 'stdin.patch' : basename(path);
    patches.push({ name, bytes: await readInput(path, inputKinds.patch, context.signal) });
  }
  return { on, patches };
}
