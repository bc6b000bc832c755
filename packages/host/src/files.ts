import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { type FileHandle, mkdir, mkdtemp, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { KstitchError } from '@kstitch/report/error';

/**
 * Writes a file so that its name always stands for either the old content or the whole new one: into a temporary
 * name beside it, synced, then renamed.
 *
 * @param options - `mode`: permission bits of a new file, default 0o644
 * @throws KstitchError - `host-disk-full`, `host-file-failed`; the temporary file is gone then
 */
export async function writeAtomically(
  path: string,
  content: string | Uint8Array,
  options: { readonly mode?: number } = {},
): Promise<void> {
  await writeFileAtomically(path, file => file.writeFile(content), options);
}

/** As {@link writeAtomically}, for content that is written piece by piece. */
export async function writeFileAtomically(
  path: string,
  write: (file: FileHandle) => Promise<void>,
  options: { readonly mode?: number } = {},
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomName()}.partial`);
  try {
    const file = await open(temporary, 'wx', options.mode ?? 0o644);
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw fileError(`write '${path}'`, error);
  }
}

/**
 * As {@link writeAtomically}, and beyond a power loss: once this returns, the name stands for the new content whatever comes.
 *
 * @throws KstitchError - `host-disk-full`, `host-file-failed`
 */
export async function writeDurably(
  path: string,
  content: string | Uint8Array,
  options: { readonly mode?: number } = {},
): Promise<void> {
  await writeAtomically(path, content, options);
  syncDirectory(dirname(path));
}

/**
 * Removes a file, which needs not be there, for good: no power loss brings it back.
 *
 * @throws KstitchError - `host-file-failed`
 */
export async function removeDurably(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch (error) {
    throw fileError(`remove '${path}'`, error);
  }
  syncDirectory(dirname(path));
}

/**
 * Makes a folder and those above it that are missing, for good.
 *
 * @throws KstitchError - `host-disk-full`, `host-file-failed`
 */
export async function makeDirectoryDurably(path: string, mode: number): Promise<void> {
  makeDirectoryDurablySync(path, mode);
}

/** As {@link makeDirectoryDurably}. */
export function makeDirectoryDurablySync(path: string, mode: number): void {
  try {
    const first = mkdirSync(path, { recursive: true, mode });
    if (first === undefined) return;
    for (let folder = path; folder !== dirname(first); folder = dirname(folder))
      syncDirectory(dirname(folder));
  } catch (error) {
    throw fileError(`make the folder '${path}'`, error);
  }
}

/**
 * Names are the folder's content: without this a rename, or a new file, may still be lost when what is in the file is not.
 *
 * @throws KstitchError - `host-disk-full`, `host-file-failed`
 */
export function syncDirectory(path: string): void {
  try {
    const folder = openSync(path, 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch (error) {
    throw fileError(`write '${path}'`, error);
  }
}

/**
 * Builds a folder so that its name only ever stands for the finished one: in a temporary folder beside it, renamed
 * at the end, removed when `work` fails or is interrupted.
 *
 * The caller holds the lock that guards `final`: what an earlier, killed run left beside it is removed first.
 *
 * @param final - the folder's name; must not exist yet
 * @param work - fills the temporary folder it is handed
 * @returns what `work` returns
 */
export async function buildDirectoryAtomically<T>(
  final: string,
  work: (temporary: string) => Promise<T>,
): Promise<T> {
  const parent = dirname(final);
  const prefix = `.${basename(final)}.`;
  const temporary = join(parent, `${prefix}${randomName()}.partial`);
  try {
    await mkdir(parent, { recursive: true });
    for (const name of await readdir(parent)) {
      if (name.startsWith(prefix) && name.endsWith('.partial')) await removeTree(join(parent, name));
    }
    await mkdir(temporary);
    const result = await work(temporary);
    await rename(temporary, final);
    return result;
  } catch (error) {
    await removeTree(temporary);
    throw error instanceof KstitchError ? error : fileError(`write '${final}'`, error);
  }
}

/**
 * Hands `work` a temporary folder that is gone afterwards, also when `work` fails and when the process exits early.
 *
 * @param label - part of the folder's name, for whoever finds it: `proof`
 * @param parent - where it is made; the system's temporary folder unless given
 */
export async function withTemporaryDirectory<T>(
  label: string,
  work: (directory: string) => Promise<T>,
  parent: string = tmpdir(),
): Promise<T> {
  const directory = await mkdtemp(join(parent, `kstitch-${label}-`)).catch((error: unknown) => {
    throw fileError(`make a temporary folder in '${parent}'`, error);
  });
  const removeNow = () => rmSync(directory, { recursive: true, force: true });
  process.once('exit', removeNow);
  try {
    return await work(directory);
  } finally {
    process.off('exit', removeNow);
    await removeTree(directory);
  }
}

/** Removes a folder with all in it; one that something still writes to is tried again for a while. */
export async function removeTree(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}

/** @returns whether something is there under this name, or behind the link that it is */
export async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

/**
 * @param action - what was being done, with the path quoted: `write '/srv/out/a.ko'`
 * @param error - what the file system threw
 * @returns the error to throw: `host-disk-full` or `host-file-failed`; a KstitchError passes unchanged
 */
export function fileError(action: string, error: unknown): KstitchError {
  if (error instanceof KstitchError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new KstitchError('host-disk-full', `${action}: no space left on device`, { cause: error });
  }
  const text = systemWords(error);
  return new KstitchError('host-file-failed', `${action}: ${text}${code === '' ? '' : ` (${code})`}`, {
    cause: error,
  });
}

/**
 * @param action - as for {@link fileError}, of something that the command line names: `read 'kit.tar'`
 * @param error - what the file system threw when it was read
 * @returns the error to throw: `input-unreadable`; a KstitchError passes unchanged
 */
export function inputError(action: string, error: unknown): KstitchError {
  if (error instanceof KstitchError) return error;
  return new KstitchError('input-unreadable', `${action}: ${systemWords(error)}`, { cause: error });
}

/**
 * Node's text is "EACCES: permission denied, open '/path'"; the path stands in the action already.
 *
 * @returns the system's words for a failed call: `permission denied`
 */
export function systemWords(error: unknown): string {
  const said = error instanceof Error ? error.message : String(error);
  return /^[A-Z0-9]+: ([^,]+)/.exec(said)?.[1] ?? said;
}

function randomName(): string {
  return randomBytes(6).toString('hex');
}
