import { closeSync, constants, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { KstitchError } from '@kstitch/report/error';
import { limits } from './limits.ts';

/** A file or folder that is not there, or was until a moment ago: a task that ended, a livepatch that was disabled. */
const goneCodes: readonly string[] = ['ENOENT', 'ENOTDIR', 'ESRCH', 'ENODEV'];

/** Most files here have a line or two; what is longer takes several reads. */
const firstChunk = 4 * 1024;
const nextChunks = 64 * 1024;

/**
 * The one place where the running kernel is read and written: /proc and /sys below a root, which tests point at recorded
 * trees. Everything is read at once and up to a limit; these files lie in memory.
 */
export class Machine {
  readonly root: string;

  constructor(root = '/') {
    this.root = root;
  }

  /**
   * @param path - absolute
   * @param limit - bytes
   * @returns undefined when it is not there
   * @throws KstitchError - `machine-unreadable`, `machine-not-root`
   */
  readBytes(path: string, limit: number): Uint8Array | undefined {
    const chunks = [...this.#chunks(path, limit)];
    return chunks.includes(undefined)
      ? undefined
      : Buffer.concat(chunks.filter(chunk => chunk !== undefined));
  }

  /** As {@link readBytes}; the text, without the line break at its end. */
  read(path: string, limit: number = limits.attribute): string | undefined {
    const bytes = this.readBytes(path, limit);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString('latin1').replace(/\n$/, '');
  }

  /** As {@link read}, line by line; who has seen enough reads no further. */
  *lines(path: string, limit: number): Generator<string, void, void> {
    let rest = '';
    for (const chunk of this.#chunks(path, limit)) {
      if (chunk === undefined) return;
      const lines = (rest + chunk.toString('latin1')).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
    if (rest !== '') yield rest;
  }

  /** @returns names in a folder, sorted; undefined when it is not there */
  list(path: string): string[] | undefined {
    try {
      return readdirSync(join(this.root, path)).toSorted((a, b) => (a < b ? -1 : 1));
    } catch (error) {
      if (isGone(error)) return undefined;
      throw machineError('read', path, error);
    }
  }

  /** @returns names of the folders in a folder, sorted; none when it is not there */
  folders(path: string): string[] {
    try {
      return readdirSync(join(this.root, path), { withFileTypes: true })
        .filter(entry => entry.isDirectory())
        .map(entry => entry.name)
        .toSorted((a, b) => (a < b ? -1 : 1));
    } catch (error) {
      if (isGone(error)) return [];
      throw machineError('read', path, error);
    }
  }

  /**
   * Writes one value of sysfs.
   *
   * @returns false when it is not there any more
   * @throws KstitchError - `machine-unreadable`, `machine-not-root`; the kernel's own errors pass through: EBUSY, EINVAL
   */
  write(path: string, value: string): boolean {
    try {
      // `force` may be written and not read.
      const file = openSync(join(this.root, path), constants.O_WRONLY);
      try {
        writeSync(file, value);
      } finally {
        closeSync(file);
      }
      return true;
    } catch (error) {
      if (isGone(error)) return false;
      throw machineError('write', path, error);
    }
  }

  /** Yields one undefined when the file is not there. */
  *#chunks(path: string, limit: number): Generator<Buffer | undefined, void, void> {
    let file: number | undefined;
    try {
      file = openSync(join(this.root, path), 'r');
      for (let size = 0; ; ) {
        const chunk = Buffer.allocUnsafe(size === 0 ? firstChunk : nextChunks);
        const length = readSync(file, chunk);
        if (length === 0) return;
        size += length;
        if (size > limit)
          throw new KstitchError('machine-unreadable', `read '${path}': it has more than ${limit} bytes`);
        yield chunk.subarray(0, length);
      }
    } catch (error) {
      if (!isGone(error)) throw machineError('read', path, error);
      yield undefined;
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }
}

function isGone(error: unknown): boolean {
  return goneCodes.includes(codeOf(error));
}

/** @returns `EBUSY`; empty when the error is none of the system's */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function machineError(action: string, path: string, error: unknown): KstitchError {
  if (error instanceof KstitchError) return error;
  const code = codeOf(error);
  if (code === 'EACCES' || code === 'EPERM')
    return new KstitchError('machine-not-root', `${action} '${path}': permission denied (${code})`, {
      cause: error,
    });
  return new KstitchError('machine-unreadable', `${action} '${path}': ${code || String(error)}`, {
    cause: error,
  });
}
