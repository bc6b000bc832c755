import { spawn } from 'node:child_process';

export interface TimedRun {
  readonly status: number;
  readonly stdout: string;
  /** Seconds. */
  readonly wall: number;
  /** Processor time of the program and of all that it started and waited for, in seconds. */
  readonly processor: number;
}

/**
 * Runs a program to its end and lets a shell around it say how much processor time it took, children included: on a machine
 * that does other work too, that says more than the wall.
 *
 * @param output - `ignore` for output that is not looked at: reading it would be part of the measurement
 */
export async function runTimed(
  words: readonly string[],
  { env = process.env, output = 'keep' }: { env?: NodeJS.ProcessEnv; output?: 'keep' | 'ignore' } = {},
): Promise<TimedRun> {
  const redirect = output === 'ignore' ? '>/dev/null' : '';
  // `times` prints the shell's own time and that of its children, each as `0m1.23s 0m0.04s`.
  const script = `"$@" ${redirect}; status=$?; times >&3; exit $status`;
  const begin = performance.now();
  const child = spawn('bash', ['-c', script, 'bash', ...words], {
    env,
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  });
  const [stdout, times] = await Promise.all([textOf(child.stdio[1]), textOf(child.stdio[3])]);
  const status = await new Promise<number>((resolve, reject) => {
    if (child.exitCode !== null) resolve(child.exitCode);
    child.on('error', reject);
    child.on('close', code => resolve(code ?? 130));
  });
  const [, children = ''] = times.trim().split('\n');
  const processor = children
    .split(' ')
    .map(text => /^(\d+)m([\d.]+)s$/.exec(text))
    .reduce((sum, match) => sum + 60 * Number(match?.[1]) + Number(match?.[2]), 0);
  return { status, stdout, wall: (performance.now() - begin) / 1000, processor };
}

async function textOf(stream: unknown): Promise<string> {
  let text = '';
  for await (const chunk of stream as AsyncIterable<Buffer>) text += chunk.toString('utf8');
  return text;
}
