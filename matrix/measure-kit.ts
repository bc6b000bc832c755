import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TimingReport } from '@kstitch/cli/timings';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { run } from '@kstitch/host/run';
import type { KitTimes } from './kernel-result.ts';
import { mustRun } from './run-kstitch.ts';

/**
 * Makes the kit of a kernel from nothing but its downloads, and a build root where it needs one. Beside the user's own cache, with
 * the packages in it linked: the kits and roots that are there stay as they are.
 */
export async function measureKit(release: string, signal: AbortSignal): Promise<KitTimes> {
  const own = cacheDirectory();
  const cache = join(own, 'matrix', 'from-nothing');
  await rm(cache, { recursive: true, force: true });
  await mkdir(cache, { recursive: true });
  try {
    await mkdir(join(own, 'debs'), { recursive: true });
    // Links to the packages, which never change; the lists do.
    await run('cp', ['-a', '--link', join(own, 'debs'), cache], { signal });
    const { json, processorSeconds } = await mustRun(['kernel', 'fetch', release, '--yes'], signal, cache);
    return { ...splitTimes(json.timing), processorSeconds: round(processorSeconds) };
  } finally {
    await rm(cache, { recursive: true, force: true });
  }
}

/** What the archive's and the network's speed decides, by the labels of the steps. */
const download = /^(?:download|fetch the package lists|choose the packages of a build root)/;
const makeRoot = /^unpack the build root/;

/** @returns wall times of making a kit, its root and what was downloaded apart */
export function splitTimes({ totalSeconds, steps }: TimingReport): Omit<KitTimes, 'processorSeconds'> {
  const sum = (kind: RegExp) =>
    steps.filter(({ label }) => kind.test(label)).reduce((all, { seconds }) => all + seconds, 0);
  const downloadSeconds = sum(download);
  const rootSeconds = sum(makeRoot);
  return {
    seconds: round(totalSeconds - downloadSeconds - rootSeconds),
    downloadSeconds: round(downloadSeconds),
    ...(rootSeconds === 0 ? {} : { rootSeconds: round(rootSeconds) }),
  };
}

function round(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}
