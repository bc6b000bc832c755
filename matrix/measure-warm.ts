import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { WarmBuild } from './kernel-result.ts';
import { buildWords, mustRun } from './run-kstitch.ts';

/**
 * Builds one and the same change on any kernel, several times. The first run is not counted: it compiles what later ones find in
 * the cache.
 */
export async function measureWarmBuild(
  release: string,
  patch: string,
  runs: number,
  directory: string,
  signal: AbortSignal,
): Promise<WarmBuild> {
  await mkdir(directory, { recursive: true });
  const path = join(directory, 'warm.patch');
  await writeFile(path, patch);
  const words = buildWords(path, release, 'warm', directory);
  await mustRun(words, signal);
  const seconds: number[] = [];
  const processorSeconds: number[] = [];
  for (let i = 0; i < runs; i += 1) {
    const ended = await mustRun(words, signal);
    seconds.push(ended.json.timing.totalSeconds);
    processorSeconds.push(ended.processorSeconds);
  }
  return { seconds, processorSeconds };
}
