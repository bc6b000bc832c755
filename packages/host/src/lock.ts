import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { cacheDirectory } from './cache-directory.ts';
import { fileError } from './files.ts';
import { interruptedError } from './run.ts';

/** After this long a waiting kstitch says on whom it waits, milliseconds. */
const sayAfter = 2000;

/**
 * Runs `work` while no other kstitch holds the lock of that name in that folder.
 *
 * Node has no flock(2), so a child holds it: `flock` executes `cat`, which inherits the locked descriptor and ends when
 * its stdin does. The kernel closes that pipe however this process ends, SIGKILL included, so there are no stale
 * locks to detect. The file stays: removing it would let two holders lock two different files of one name.
 *
 * @param name - what is locked, in words: `kit 6.1.0-55-cloud-amd64`
 * @param directory - where the lock lies, then for its owner alone: whoever may open a lock may hold it for ever. In the cache
 *   folder unless given
 * @throws KstitchError - `host-lock-failed`, `interrupted`; what `work` throws passes through
 */
export async function withLock<T>(
  context: Context,
  name: string,
  work: () => Promise<T>,
  directory?: string,
): Promise<T> {
  const folder = directory ?? join(cacheDirectory(), 'locks');
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw fileError(`make the folder '${folder}'`, error);
  });
  const file = join(folder, `${name.replaceAll(/[^\w.+-]+/g, '-')}.lock`);
  if (directory !== undefined) await makePrivate(name, file);
  const release = await takeLock(context, name, file);
  try {
    return await work();
  } finally {
    await release();
  }
}

/**
 * flock(1) would make the file with what the umask leaves of 0666. One that is there already is mended; opened as flock does, which
 * goes where the disk has become read-only.
 */
async function makePrivate(name: string, path: string): Promise<void> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_CREAT, 0o600);
    try {
      if (((await file.stat()).mode & 0o077) !== 0) await file.chmod(0o600);
    } finally {
      await file.close();
    }
  } catch (error) {
    const { message } = fileError(`open '${path}'`, error);
    throw new KstitchError('host-lock-failed', `lock '${name}': ${message}`, { cause: error });
  }
}

async function takeLock(context: Context, name: string, file: string): Promise<() => Promise<void>> {
  if (context.signal.aborted) throw interruptedError(`lock ${name}`);
  // The holder's number is written into the locked file by the child, before it says that it has the lock.
  const child = spawn(
    'flock',
    [
      '--exclusive',
      '--no-fork',
      file,
      'sh',
      '-c',
      // The number is for messages alone: on a full disk it is not written, and what is undone there needs the lock.
      'echo "$2" > "$1"; echo held && exec cat',
      'sh',
      file,
      String(process.pid),
    ],
    { stdio: ['pipe', 'pipe', 'pipe'], detached: true },
  );
  const closed = new Promise<void>(resolve => {
    child.once('close', () => resolve());
  });
  child.stdin.on('error', () => {});
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4096);
  });

  const saying = setTimeout(() => void sayWhoHolds(context, name, file), sayAfter);
  const stop = () => child.kill('SIGKILL');
  context.signal.addEventListener('abort', stop, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', cause =>
        reject(new KstitchError('host-lock-failed', `lock '${name}': ${cause.message}`, { cause })),
      );
      child.stdout.once('data', () => resolve());
      child.once('close', () => {
        reject(
          context.signal.aborted
            ? interruptedError(`lock ${name}`)
            : new KstitchError('host-lock-failed', `lock '${name}': ${stderr.trim() || 'flock ended early'}`),
        );
      });
    });
  } finally {
    clearTimeout(saying);
    // From here on an interrupt ends the work, and the end of the work releases the lock.
    context.signal.removeEventListener('abort', stop);
  }
  return async () => {
    child.stdin.end();
    await closed;
  };
}

async function sayWhoHolds(context: Context, name: string, file: string): Promise<void> {
  const holder = (await readFile(file, 'utf8').catch(() => '')).trim();
  context.progress.note(
    holder === ''
      ? `waiting for another kstitch: ${name}`
      : `waiting for another kstitch (process ${holder}): ${name}`,
  );
}
