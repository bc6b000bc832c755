import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { TimingReport } from '@kstitch/cli/timings';
import { cacheDirectory } from '@kstitch/host/cache-directory';

const root = join(import.meta.dirname, '..');
const launcher = join(root, 'packages/cli/bin/kstitch');

export interface Ended {
  readonly status: number;
  /** What `--json` printed. */
  readonly json: Readonly<Record<string, unknown>> & {
    readonly timing: TimingReport;
    readonly error?: { readonly code: string; readonly message: string; readonly notes?: readonly string[] };
  };
  /** Of the command and all that it waited for, seconds. */
  readonly processorSeconds: number;
}

/**
 * Runs one command of kstitch as its user does.
 *
 * @param cache - in place of the user's own
 */
export async function runKstitch(
  words: readonly string[],
  signal: AbortSignal,
  cache = cacheDirectory(),
): Promise<Ended> {
  // bash is what knows the processor time of a whole family of processes.
  const script = 'TIMEFORMAT="%U %S"; time "$@" 2>&3';
  const child = spawn('bash', ['-c', script, 'time', launcher, ...words, '--json', '--timing', '--quiet'], {
    cwd: root,
    env: { ...process.env, KSTITCH_CACHE: cache },
    stdio: ['ignore', 'pipe', 'pipe', 'inherit'],
    signal,
    killSignal: 'SIGTERM',
  });
  let text = '';
  let times = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => void (times += chunk));
  const status = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', code => resolve(code ?? 130));
  });
  const [user = 0, system = 0] = times.trim().split(' ').map(Number);
  return { status, json: JSON.parse(text) as Ended['json'], processorSeconds: user + system };
}

/** @throws Error - when the command fails, with its own words */
export async function mustRun(
  words: readonly string[],
  signal: AbortSignal,
  cache = cacheDirectory(),
): Promise<Ended> {
  const ended = await runKstitch(words, signal, cache);
  if (ended.status === 0) return ended;
  const { error } = ended.json;
  const notes = error?.notes?.slice(0, 5).map(note => `\n  ${note}`) ?? [];
  throw new Error(
    `kstitch ${words.join(' ')} ended with ${ended.status}: ${error?.code} ${error?.message}${notes.join('')}`,
  );
}

/** @returns the words of `kstitch build` for one patch */
export function buildWords(
  patch: string,
  release: string,
  name: string,
  directory: string,
): readonly string[] {
  return ['build', patch, '--kernel', release, '--name', name, '-o', directory, '--yes'];
}
