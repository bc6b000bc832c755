import type { WorkerAnswer } from './build-worker.ts';
import type { FileDifference } from './differing-files.ts';
import { runPool } from './worker-pool.ts';

export interface BuildPoolOptions {
  readonly release: string;
  /** Where the modules are written. */
  readonly outputDirectory: string;
  readonly workers: number;
  /** Ends all workers. */
  readonly signal: AbortSignal;
}

/** A build takes seconds; what takes longer than this hangs. Milliseconds. */
const MAX_BUILD_TIME = 10 * 60_000;
/** A worker keeps every module of the kernel that it has read; after so many builds a fresh one takes its place. */
const MAX_BUILDS = 100;

/** Code of a build whose process ended before it was done. */
export const WORKER_DIED = 'worker-died';

/**
 * Builds all differences, each alone, over several processes: one that crashes or hangs costs one result.
 *
 * @param onAnswer - is handed each result as soon as it is there
 */
export async function buildAll(
  differences: readonly FileDifference[],
  { release, outputDirectory, workers, signal }: BuildPoolOptions,
  onAnswer: (answer: WorkerAnswer) => Promise<void>,
): Promise<void> {
  await runPool<FileDifference, WorkerAnswer>(
    differences,
    {
      program: new URL('build-worker.ts', import.meta.url),
      args: [release, outputDirectory],
      workers,
      maxTime: MAX_BUILD_TIME,
      maxJobs: MAX_BUILDS,
      signal,
      lost: ({ file }, { hung, seconds, words }) => {
        const text = hung ? 'the build did not end' : 'the process that built it ended';
        const findings = [{ code: WORKER_DIED, place: '', text, notes: words }];
        return { file, outcome: 'error', code: WORKER_DIED, findings, seconds, steps: {} };
      },
    },
    onAnswer,
  );
}
