import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { fileError, writeAtomically } from '@kstitch/host/files';

/**
 * What is found out once of a kit, which never changes, and then read from the cache.
 *
 * @param name - of its folder there
 * @param inputs - everything that it is made from, values of JSON
 * @param isIndex - whether what is stored can be used; where it cannot, it is made anew
 * @throws KstitchError - `host-file-failed`, `host-disk-full`, and what `make` throws
 */
export async function keptIndex<T>(
  name: string,
  inputs: readonly unknown[],
  isIndex: (value: unknown) => value is T,
  make: () => Promise<T>,
): Promise<T> {
  const key = createHash('sha256').update(JSON.stringify(inputs)).digest('hex');
  const folder = join(cacheDirectory(), name);
  const file = join(folder, `${key}.json`);
  const stored = parse(await readFile(file, 'utf8').catch(() => undefined));
  if (isIndex(stored)) return stored;
  const made = await make();
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw fileError(`write '${folder}'`, error);
  });
  await writeAtomically(file, JSON.stringify(made));
  return made;
}

function parse(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
