import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, removeTree } from '@kstitch/host/files';
import { run } from '@kstitch/host/run';
import { KstitchError } from '@kstitch/report/error';

/**
 * Applies the patches that Debian applies for one flavour only, in its order and as strictly (debian/rules.real: `quilt push
 * --fuzz=0`). linux-source has all others.
 *
 * @param archive - the Debian part of the source package, `linux_6.1.187-1.debian.tar.xz`
 * @param flavour - `rt` for debian/patches-rt
 * @param tree - the unpacked source
 * @throws KstitchError - `kit-package-unexpected` when there are no such patches, `kit-prepare-failed` when one does not fit
 */
export async function applyFlavourPatches(
  archive: string,
  flavour: string,
  tree: string,
  signal: AbortSignal,
): Promise<void> {
  const work = `${tree}.patches`;
  const folder = `debian/patches-${flavour}`;
  await mkdir(work, { recursive: true });
  try {
    const args = ['--extract', '--xz', '--no-same-owner', '--file', archive, '--directory', work, folder];
    await run('tar', args, { signal }).catch((cause: unknown) => {
      const lacks =
        cause instanceof KstitchError && cause.notes.some(line => line.includes('Not found in archive'));
      throw lacks ? unexpected(`it has no '${folder}'`) : cause;
    });
    for (const name of await readSeries(join(work, folder, 'series'))) {
      const how = ['--strip=1', '--fuzz=0', '--force', '--quiet', '--no-backup-if-mismatch'];
      const where = ['--directory', tree, '--input', join(work, folder, name)];
      await run('patch', [...how, ...where], { signal }).catch((cause: unknown) => {
        if (!(cause instanceof KstitchError) || cause.code !== 'host-tool-failed') throw cause;
        throw new KstitchError(
          'kit-prepare-failed',
          `apply '${folder}/${name}': it does not fit the source`,
          {
            cause,
            notes: cause.notes,
          },
        );
      });
    }
  } finally {
    await removeTree(work);
  }
}

async function readSeries(path: string): Promise<readonly string[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(`read '${path}'`, error);
  });
  const names = text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '' && !line.startsWith('#'));
  const odd = names.find(name => !/^\w[\w.+-]*(?:\/\w[\w.+-]*)*$/.test(name));
  if (odd !== undefined) throw unexpected(`its series names '${odd}'`);
  return names;
}

function unexpected(problem: string): KstitchError {
  return new KstitchError('kit-package-unexpected', `read the real-time patches: ${problem}`);
}
