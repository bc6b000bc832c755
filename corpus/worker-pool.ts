import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What the processes of a pool run and what becomes of those that fail. */
export interface PoolOptions<Job, Answer> {
  /** Program of a worker: says `ready`, then answers each message with one. */
  readonly program: URL;
  readonly args: readonly string[];
  readonly workers: number;
  /** A job that takes longer hangs. Milliseconds. */
  readonly maxTime: number;
  /** A worker may keep what it has read; after so many jobs a fresh one takes its place. */
  readonly maxJobs: number;
  /** Ends all workers. */
  readonly signal: AbortSignal;
  /** @returns the answer for a job whose worker ended or hung */
  readonly lost: (job: Job, loss: LostJob) => Answer;
}

export interface LostJob {
  readonly hung: boolean;
  readonly seconds: number;
  /** Last lines of what the worker wrote to standard error. */
  readonly words: readonly string[];
}

/**
 * Does jobs over several processes: one that crashes or hangs costs one job.
 *
 * @param onAnswer - is handed each answer as soon as it is there
 */
export async function runPool<Job extends object, Answer>(
  jobs: readonly Job[],
  options: PoolOptions<Job, Answer>,
  onAnswer: (answer: Answer) => Promise<void>,
): Promise<void> {
  const queue = jobs.values();
  const work = async () => {
    let worker: Worker<Job, Answer> | undefined;
    for (const job of queue) {
      if (options.signal.aborted) break;
      worker ??= await startWorker(options);
      await onAnswer(await worker.do(job));
      if (!worker.usable) {
        worker.end();
        worker = undefined;
      }
    }
    worker?.end();
  };
  await Promise.all(Array.from({ length: Math.min(options.workers, jobs.length) }, work));
}

interface Worker<Job, Answer> {
  readonly usable: boolean;
  do(job: Job): Promise<Answer>;
  end(): void;
}

async function startWorker<Job extends object, Answer>(
  options: PoolOptions<Job, Answer>,
): Promise<Worker<Job, Answer>> {
  const { program, args, signal, maxTime, maxJobs, lost } = options;
  const child = fork(fileURLToPath(program), [...args], { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] });
  const stop = () => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-4096);
  });
  child.once('close', () => signal.removeEventListener('abort', stop));
  if ((await nextMessage(child)) !== 'ready') throw new Error(`a worker did not start: ${words}`);

  let jobs = 0;
  return {
    get usable() {
      return jobs < maxJobs && child.connected;
    },
    do: async job => {
      jobs += 1;
      const began = performance.now();
      const timer = setTimeout(stop, maxTime);
      child.send(job);
      const answer = (await nextMessage(child)) as Answer | undefined;
      clearTimeout(timer);
      if (answer !== undefined) return answer;
      const seconds = Math.round(performance.now() - began) / 1000;
      const hung = seconds * 1000 >= maxTime;
      return lost(job, { hung, seconds, words: words.trim().split('\n').slice(-20) });
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
