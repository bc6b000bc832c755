import type { BuildGround } from '@kstitch/build/build-livepatch';
import { findAffectedUnits } from '@kstitch/build/patch/affected-units';
import { applyPatches } from '@kstitch/build/patch/apply-patch';
import { mulberry32 } from '@kstitch/build/verify-kernel';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';

/** One file's part of the difference between two kernels. */
export interface FileDifference {
  /** Below the kernel source. */
  readonly file: string;
  /** A patch for `patch -p1`, one character a byte. */
  readonly patch: string;
}

/**
 * @param delta - what `kernelDelta` returns, one character a byte
 * @returns the parts that change a .c file, in the order of the delta
 */
export function splitDelta(delta: string): readonly FileDifference[] {
  return delta.split(/^(?=diff --git )/m).flatMap(patch => {
    const file = /^diff --git a\/(\S+\.c) b\//.exec(patch)?.[1];
    return file === undefined ? [] : [{ file, patch }];
  });
}

/**
 * @returns whether the kernel at hand was compiled from the file: as a unit, as part of another unit, or for an image of its own;
 *   a new file is no part of it
 * @throws KstitchError - `patch-does-not-apply` and the like: the source of the kit is not the one that the delta begins with
 */
export async function isBuilt(
  { kernel, database }: BuildGround,
  difference: FileDifference,
): Promise<boolean> {
  const context = silentContext();
  const { file, patch } = difference;
  const applied = await applyPatches(context, kernel.kit, [
    { name: file, bytes: Buffer.from(patch, 'latin1') },
  ]);
  if (applied.files.some(({ before }) => before === undefined)) return false;
  try {
    await findAffectedUnits(context, kernel.kit, database, applied);
    return true;
  } catch (error) {
    if (!(error instanceof KstitchError)) throw error;
    return error.code !== 'patch-touches-nothing-built';
  }
}

/** @returns `count` of the files, drawn by the seed, in the order given; all when there are no more */
export function drawSample<T>(files: readonly T[], count: number, seed: number): readonly T[] {
  const random = mulberry32(seed);
  const indices = files.map((_, index) => index);
  // Fisher-Yates, as far as the sample goes.
  for (let i = 0; i < Math.min(count, indices.length); i += 1) {
    const j = i + Math.floor(random() * (indices.length - i));
    [indices[i], indices[j]] = [indices[j] as number, indices[i] as number];
  }
  const drawn = new Set(indices.slice(0, count));
  return files.filter((_, index) => drawn.has(index));
}
