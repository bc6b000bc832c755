import { readFile } from 'node:fs/promises';
import { fileError } from './files.ts';
import { runForBytes } from './run.ts';

/** By the ending that stands behind the file's name. */
const decompressors: Readonly<Record<string, string>> = { '.xz': 'xz', '.zst': 'zstd', '.gz': 'gzip' };

/** In bytes; the largest module of Debian's kernels has 20 MB. */
const maxSize = 256 * 1024 * 1024;

/**
 * Reads a file that may be there compressed only: modules.order names `x.ko` also where the file is `x.ko.xz`.
 *
 * @param path - without the ending of a compressed file
 * @throws KstitchError - `host-file-failed` when there is neither, `host-tool-missing`
 */
export async function readPerhapsCompressed(path: string, signal?: AbortSignal): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    for (const [ending, tool] of Object.entries(decompressors)) {
      const packed = await readFile(`${path}${ending}`).catch(() => undefined);
      if (packed === undefined) continue;
      const { stdout } = await runForBytes(tool, ['-dc'], {
        input: packed,
        maxOutput: maxSize,
        ...(signal === undefined ? {} : { signal }),
      });
      return stdout;
    }
    throw fileError(`read '${path}'`, error);
  }
}
