/** What of a folder in which somebody built a kernel belongs into a kit. */
import { createHash } from 'node:crypto';
import {
  constants,
  copyFile,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  stat,
  symlink,
} from 'node:fs/promises';
import { dirname, isAbsolute, join, normalize } from 'node:path';
import { inputError } from '@kstitch/host/files';
import { interruptedError } from '@kstitch/host/run';
import { KstitchError } from '@kstitch/report/error';

export interface OwnFile {
  /** Below the folder. */
  readonly path: string;
  readonly kind: 'source' | 'module' | 'image';
  /** Changes when the file does: size, times, inode. */
  readonly stamp: string;
}

/** Made by kbuild, from what is in the folder beside it. */
const objects = /\.(?:o|a|mod|mod\.c|order|so|so\.dbg|dwo|gcno|symversions|symtypes)$|^\..*\.cmd$|^\.tmp_/;
/** At the top: links of the whole kernel. */
const links = /^(?:vmlinux(?:\..*)?|System\.map|modules\.(?:builtin.*|order|nsdeps)|Module\.symvers)$/;
/** A module signing key is nobody's but its owner's. */
const keys = /^signing_key\./;
/** The stages of the boot loader. */
const bootFiles = /^arch\/x86\/boot\/(?:compressed\/)?(?:vmlinux(?:\.bin.*|\.relocs)?|setup\.(?:bin|elf))$/;
const skippedFolders = new Set(['.git', 'debian']);

export const imagePath = 'arch/x86/boot/bzImage';
/** Files that are no source, and what a kit is made of besides. */
const imagePaths: ReadonlySet<string> = new Set([
  'vmlinux',
  imagePath,
  'modules.order',
  'modules.builtin',
  'Module.symvers',
]);

/** Files handled side by side. */
const atOnce = 32;

/** @returns one text that changes when any of the files does */
export function stampOf(files: readonly OwnFile[]): string {
  return createHash('sha256')
    .update(files.map(({ path, stamp }) => `${path}\0${stamp}`).join('\n'))
    .digest('hex');
}

/** @returns everything that a kit is made of, by path */
export async function listOwnFiles(directory: string, signal: AbortSignal): Promise<readonly OwnFile[]> {
  const found: { path: string; kind: OwnFile['kind'] }[] = [];
  const folders = [''];
  for (const folder of folders) {
    if (signal.aborted) throw interruptedError(`read '${directory}'`);
    const entries = await readdir(join(directory, folder), { withFileTypes: true }).catch(
      (error: unknown) => {
        throw inputError(`read '${join(directory, folder)}'`, error);
      },
    );
    for (const entry of entries) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!skippedFolders.has(path)) folders.push(path);
      } else if (entry.isFile() || entry.isSymbolicLink()) {
        const kind = kindOf(path, entry.name, folder);
        if (kind !== undefined) found.push({ path, kind });
      }
    }
  }
  found.sort((a, b) => (a.path < b.path ? -1 : 1));
  return await inTurns(found, async file => {
    const place = join(directory, file.path);
    // A link of the source may lead nowhere.
    const { size, mtimeMs, ctimeMs, ino } = await stat(place)
      .catch(() => lstat(place))
      .catch((error: unknown) => {
        throw inputError(`read '${place}'`, error);
      });
    return { ...file, stamp: `${size} ${mtimeMs} ${ctimeMs} ${ino}` };
  });
}

function kindOf(path: string, name: string, folder: string): OwnFile['kind'] | undefined {
  if (imagePaths.has(path)) return 'image';
  if (name.endsWith('.ko')) return 'module';
  if (objects.test(name) || keys.test(name) || bootFiles.test(path) || (folder === '' && links.test(name)))
    return undefined;
  return 'source';
}

/**
 * @returns where a link of the source leads to, as it says; undefined for a file, and for a link that leads out of the folder: what
 *   that leads to is taken in its place, so that nothing that is written in the copy is written through it
 * @throws KstitchError - `own-kernel-incomplete` where that is no file: kbuild makes `source`, a link to a folder, for O=
 */
async function innerLink(directory: string, { path, kind }: OwnFile): Promise<string | undefined> {
  const place = join(directory, path);
  if (kind !== 'source' || !(await lstat(place)).isSymbolicLink()) return undefined;
  const target = await readlink(place);
  if (!isAbsolute(target) && !normalize(join(dirname(path), target)).startsWith('..')) return target;
  const found = await stat(place).catch(() => undefined);
  if (found?.isFile() === true) return undefined;
  throw new KstitchError(
    'own-kernel-incomplete',
    `use the kernel in '${directory}': its link '${path}' leads out of it, to '${target}', which is no file`,
  );
}

/** @returns lower-case hex that stands for all paths and contents */
export async function hashOwnFiles(directory: string, files: readonly OwnFile[]): Promise<string> {
  const sums = await inTurns(files, async file => {
    const { path } = file;
    const place = join(directory, path);
    const read = async () =>
      await readFile(place).catch((error: unknown) => {
        throw inputError(`read '${place}'`, error);
      });
    const content = (await innerLink(directory, file)) ?? (await read());
    return `${path}\0${createHash('sha256').update(content).digest('hex')}`;
  });
  return createHash('sha256').update(sums.join('\n')).digest('hex');
}

/** Copies the files of one kind to the same paths below another folder. */
export async function copyOwnFiles(
  directory: string,
  files: readonly OwnFile[],
  kind: OwnFile['kind'],
  into: string,
): Promise<void> {
  const wanted = files.filter(file => file.kind === kind);
  for (const folder of new Set(wanted.map(({ path }) => dirname(path))))
    await mkdir(join(into, folder), { recursive: true });
  await inTurns(wanted, async file => {
    const { path } = file;
    const link = await innerLink(directory, file);
    if (link !== undefined) await symlink(link, join(into, path));
    else await copyFile(join(directory, path), join(into, path), constants.COPYFILE_FICLONE);
  });
}

async function inTurns<T, R>(list: readonly T[], work: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  for (let at = 0; at < list.length; at += atOnce)
    results.push(...(await Promise.all(list.slice(at, at + atOnce).map(work))));
  return results;
}
