import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { KstitchError } from '@kstitch/report/error';
import { packageOfTool } from './debian-packages.ts';

export interface RunOptions {
  readonly cwd?: string;
  /** Variables added to this process's own environment; the value undefined takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The whole environment, in place of this process's own. */
  readonly onlyEnv?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  readonly signal?: AbortSignal;
  /** Bytes of stdout that are kept at most; more is an error. Default 64 MiB. */
  readonly maxOutput?: number;
  /** Statuses that are results rather than failures: `[1]` for diff. 0 always is one. */
  readonly allowStatus?: readonly number[];
  /** Is handed each line of stdout as it comes; what is handed on is not collected. */
  readonly onLine?: (line: string) => void;
  /** The program has the terminal and stays in this process's group, to ask for a password: nothing is collected. */
  readonly onTerminal?: boolean;
}

export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

export interface RunBytesResult {
  readonly stdout: Uint8Array;
  readonly stderr: string;
  readonly status: number;
}

const defaultMaxOutput = 64 * 1024 * 1024;
/** What is kept of stderr, in characters: its end, where a tool says why it gave up. */
const maxStderr = 256 * 1024;
/** How many of the tool's last lines go into the error. */
const lastWords = 15;
const endWithParent = ['setpriv', '--pdeathsig', 'TERM'] as const;
/** Between SIGTERM and SIGKILL, milliseconds. */
const killGrace = 2000;

/**
 * Runs a program to its end, in a process group of its own, so that an interrupt ends it with all it started.
 *
 * Messages are asked for in English (`LC_ALL=C`): some are read.
 *
 * @param command - a program in PATH, or a path
 * @returns its output as text
 * @throws KstitchError - `host-tool-missing`, `host-tool-failed` with the tool's last words, `host-tool-output`,
 *   `host-disk-full` when the tool says so, `interrupted` when the signal was aborted
 */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { stdout, stderr, status } = await runForBytes(command, args, options);
  return {
    stdout: Buffer.from(stdout.buffer, stdout.byteOffset, stdout.byteLength).toString('utf8'),
    stderr,
    status,
  };
}

/** As {@link run}, with stdout as bytes: for programs that write data (`xz -dc`). */
export function runForBytes(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunBytesResult> {
  const { signal } = options;
  const shown = showCommand(command, args);
  if (signal?.aborted === true) return Promise.reject(interruptedError(shown));

  return new Promise((resolve, reject) => {
    const onTerminal = options.onTerminal === true;
    // setpriv: when this process is killed (SIGKILL, out of memory), the kernel ends the program too, which would otherwise go
    // on writing where the next kstitch starts afresh.
    const [program = '', ...line] = [...(onTerminal ? [] : endWithParent), command, ...args];
    const child = spawn(program, line, {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...(options.onlyEnv ?? { ...process.env, ...options.env }), LC_ALL: 'C' },
      stdio: onTerminal ? 'inherit' : 'pipe',
      detached: !onTerminal,
    });
    const stop = () => (onTerminal ? child.kill() : endGroup(child));
    signal?.addEventListener('abort', stop, { once: true });

    const chunks: Buffer[] = [];
    const limit = options.maxOutput ?? defaultMaxOutput;
    let collected = 0;
    let overflowed = false;
    let lineRest = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      if (options.onLine !== undefined) {
        const lines = (lineRest + chunk.toString('utf8')).split('\n');
        lineRest = (lines.pop() ?? '').slice(-limit);
        for (const line of lines) options.onLine(line);
        return;
      }
      collected += chunk.length;
      if (collected <= limit) chunks.push(chunk);
      else if (!overflowed) {
        overflowed = true;
        stop();
      }
    });
    let stderr = '';
    child.stderr?.setEncoding('utf8');
    child.stderr?.on('data', (text: string) => {
      stderr = (stderr + text).slice(-maxStderr);
    });

    // A program may end without reading all its input; what it says about that is in its status, not in EPIPE.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');

    child.once('error', cause => {
      signal?.removeEventListener('abort', stop);
      reject(startError(onTerminal ? command : program, shown, cause, options.cwd));
    });
    child.once('close', (code, killedBy) => {
      signal?.removeEventListener('abort', stop);
      if (lineRest !== '') options.onLine?.(lineRest);
      const status = code ?? 128;
      if (signal?.aborted === true) reject(interruptedError(shown));
      else if (overflowed)
        reject(new KstitchError('host-tool-output', `run '${shown}': it wrote more than ${limit} bytes`));
      else if (status === 127 && stderr.startsWith('setpriv: failed to execute'))
        reject(missingTool(command, stderr));
      else if (code === null)
        reject(failure(shown, `it was ended by ${killedBy ?? 'a signal'}`, stderr, chunks));
      else if (status !== 0 && options.allowStatus?.includes(status) !== true)
        reject(failure(shown, `it ended with status ${status}`, stderr, chunks));
      else resolve({ stdout: Buffer.concat(chunks), stderr, status });
    });
  });
}

/** @returns the error of a run that Ctrl-C or SIGTERM ended while `what` was going on */
export function interruptedError(what: string): KstitchError {
  return new KstitchError('interrupted', `interrupt '${what}'`);
}

function endGroup(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  killGroup(pid, 'SIGTERM');
  const timer = setTimeout(() => killGroup(pid, 'SIGKILL'), killGrace);
  child.once('close', () => clearTimeout(timer));
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // The group has ended by itself.
  }
}

function startError(program: string, shown: string, cause: Error, cwd: string | undefined): KstitchError {
  const missing = 'code' in cause && cause.code === 'ENOENT';
  // Node says ENOENT of the program when it is the folder that does not exist.
  if (missing && cwd !== undefined && !existsSync(cwd)) {
    return new KstitchError('host-file-failed', `run '${shown}': the folder '${cwd}' does not exist`, {
      cause,
    });
  }
  return missing
    ? missingTool(program, cause)
    : new KstitchError('host-tool-failed', `run '${shown}': ${cause.message}`, { cause });
}

function missingTool(command: string, cause: unknown): KstitchError {
  const name = basename(command);
  const needed = packageOfTool(name);
  return new KstitchError('host-tool-missing', `run '${name}': the program is not installed`, {
    cause,
    ...(needed === undefined ? {} : { help: `install the package '${needed}': apt-get install ${needed}` }),
  });
}

function failure(shown: string, what: string, stderr: string, stdout: readonly Buffer[]): KstitchError {
  // Some tools (make's children, apt) say on stdout why they failed.
  const words = stderr.trim() === '' ? Buffer.concat(stdout).toString('utf8').slice(-maxStderr) : stderr;
  const notes = words.trimEnd().split('\n').slice(-lastWords);
  if (/No space left on device|Disk quota exceeded/.test(words)) {
    return new KstitchError('host-disk-full', `run '${shown}': no space left on device`, { notes });
  }
  return new KstitchError('host-tool-failed', `run '${shown}': ${what}`, { notes });
}

function showCommand(command: string, args: readonly string[]): string {
  const whole = [basename(command), ...args].join(' ').replaceAll(/\s+/g, ' ');
  return whole.length <= 160 ? whole : `${whole.slice(0, 157)}...`;
}
