/** The largest flavour: what is indexed of its source and modules, made once, and then read. */
import { mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import type { Figure } from './figures.ts';
import type { FlavourFigures } from './flavour-child.ts';
import { runTimed } from './run-timed.ts';

const child = fileURLToPath(new URL('flavour-child.ts', import.meta.url));

/** @param work - a folder for caches without an index */
export async function measureFlavour(
  release: string,
  work: string,
  runs: number,
): Promise<readonly Figure[]> {
  const made: FlavourFigures[] = [];
  const read: FlavourFigures[] = [];
  const cache = join(work, 'flavour');
  for (let i = 0; i < runs; i += 1) {
    await rm(cache, { recursive: true, force: true });
    await mkdir(cache);
    await symlink(join(cacheDirectory(), 'kits'), join(cache, 'kits'));
    made.push(await inChild(release, cache));
    read.push(await inChild(release, cache));
  }
  const [first] = made;
  const what = `${release}, ${first?.sources} sources and ${first?.modules} modules`;
  const row = (label: string, unit: Figure['unit'], samples: readonly number[], wanted?: string): Figure => ({
    what: label,
    unit,
    wanted,
    samples,
  });
  return [
    row(
      `index ${what}`,
      's',
      made.map(({ wall }) => wall),
      'at most 30 s',
    ),
    row(
      '… processor time',
      's',
      made.map(({ processor }) => processor),
    ),
    row(
      '… peak memory',
      'MiB',
      made.map(({ peakMiB }) => peakMiB),
      'at most 600 MB',
    ),
    row(
      'read the index, the kernel with it',
      's',
      read.map(({ wall }) => wall),
      'under 1 s',
    ),
    row(
      '… processor time',
      's',
      read.map(({ processor }) => processor),
    ),
    row(
      '… peak memory',
      'MiB',
      read.map(({ peakMiB }) => peakMiB),
    ),
  ];
}

async function inChild(release: string, cache: string): Promise<FlavourFigures> {
  const { status, stdout } = await runTimed([process.execPath, child, release], {
    env: { ...process.env, KSTITCH_CACHE: cache },
  });
  if (status !== 0) throw new Error(`node ${child} ${release} ended with ${status}: ${stdout}`);
  return JSON.parse(stdout) as FlavourFigures;
}
