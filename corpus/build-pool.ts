import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { WorkerAnswer } from './build-worker.ts';
import type { FileDifference } from './differing-files.ts';

export interface PoolOptions {
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
  options: PoolOptions,
  onAnswer: (answer: WorkerAnswer) => Promise<void>,
): Promise<void> {
  const queue = differences.values();
  const work = async () => {
    let worker: Worker | undefined;
    for (const difference of queue) {
      if (options.signal.aborted) break;
      worker ??= await startWorker(options);
      const answer = await worker.build(difference);
      await onAnswer(answer);
      if (!worker.usable) {
        worker.end();
        worker = undefined;
      }
    }
    worker?.end();
  };
  await Promise.all(Array.from({ length: Math.min(options.workers, differences.length) }, work));
}

interface Worker {
  readonly usable: boolean;
  build(difference: FileDifference): Promise<WorkerAnswer>;
  end(): void;
}

async function startWorker({ release, outputDirectory, signal }: PoolOptions): Promise<Worker> {
  const program = fileURLToPath(new URL('build-worker.ts', import.meta.url));
  const child = fork(program, [release, outputDirectory], { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] });
  const stop = () => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-4096);
  });
  child.once('close', () => signal.removeEventListener('abort', stop));
  if ((await nextMessage(child)) !== 'ready') throw new Error(`a worker did not start: ${words}`);

  let builds = 0;
  return {
    get usable() {
      return builds < MAX_BUILDS && child.connected;
    },
    build: async difference => {
      builds += 1;
      const began = performance.now();
      const timer = setTimeout(stop, MAX_BUILD_TIME);
      child.send(difference);
      const answer = (await nextMessage(child)) as WorkerAnswer | undefined;
      clearTimeout(timer);
      if (answer !== undefined) return answer;
      const seconds = Math.round(performance.now() - began) / 1000;
      const text =
        seconds * 1000 >= MAX_BUILD_TIME ? 'the build did not end' : 'the process that built it ended';
      return {
        file: difference.file,
        outcome: 'error',
        code: WORKER_DIED,
        findings: [{ code: WORKER_DIED, place: '', text, notes: words.trim().split('\n').slice(-20) }],
        seconds,
        steps: {},
      };
    },
    end: () => {
      if (child.connected) child.disconnect();
    },
  };
}

/** @returns undefined when the process ends instead */
function nextMessage(child: ChildProcess): Promise<unknown> {
  return new Promise(resolve => {
    const done = (message?: unknown) => {
      child.off('message', onMessage);
      child.off('close', onClose);
      resolve(message);
    };
    const onMessage = (message: unknown) => done(message);
    const onClose = () => done();
    child.once('message', onMessage);
    child.once('close', onClose);
    if (child.exitCode !== null || child.signalCode !== null) done();
  });
}
