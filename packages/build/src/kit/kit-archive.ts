/**
 * A kernel kit in one file, for a machine without a network: the packages that it is made of, and those of the build root that
 * its compiler comes from. What is made of them is not in it: it is made again, in the same way as after a download.
 *
 * The file is a tar archive: `kstitch-kit.json`, then `debs/SHA256.deb` for each package that the former names, in its order.
 */
import { createHash } from 'node:crypto';
import { constants, type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { fileError, inputError, writeFileAtomically } from '@kstitch/host/files';
import { interruptedError } from '@kstitch/host/run';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { makeRootOf, type RootContents } from '../root/build-root.ts';
import type { RootMaker } from '../root/choose-workshop.ts';
import { type KernelPackages, type PackageInfo, packagesOf, plain } from './distribution.ts';
import { type Kit, makeUnlessThere } from './kit.ts';
import { makeKit } from './make-kit.ts';
import { isPackageInfo, isRecord, parseRoot } from './manifest.ts';
import { type TarEntry, TarReader, tarEnd, tarHeader, tarPadding } from './tar.ts';

const listName = 'kstitch-kit.json';
const listSchema = 1;
/** Bytes; 130 packages take 30,000. */
const maxList = 1024 * 1024;

/** What an archive holds. */
export interface ArchiveList {
  readonly kernel: KernelPackages;
  /** Absent when it was left out. */
  readonly root?: RootContents;
}

export interface ArchiveSummary {
  readonly release: string;
  readonly packages: number;
  /** Bytes of the file. */
  readonly size: number;
  /** Of the file, lower-case hex. */
  readonly sha256: string;
}

/**
 * Writes an archive to a temporary name and renames it.
 *
 * @param pathOf - where a package's file is
 * @throws KstitchError - `kit-package-damaged`, `host-disk-full`, `host-file-failed`, `interrupted`
 */
export async function writeArchive(
  context: Context,
  path: string,
  list: ArchiveList,
  pathOf: (info: PackageInfo) => string,
): Promise<ArchiveSummary> {
  const packages = contentsOf(list);
  const hash = createHash('sha256');
  let size = 0;
  await context.progress.step(`write '${basename(path)}'`, update =>
    writeFileAtomically(resolve(path), async file => {
      const put = async (bytes: Uint8Array) => {
        if (context.signal.aborted) throw interruptedError(`write '${path}'`);
        hash.update(bytes);
        size += bytes.length;
        await file.writeFile(bytes);
      };
      const text = Buffer.from(`${JSON.stringify({ schema: listSchema, ...list }, undefined, 2)}\n`);
      for (const bytes of [tarHeader(listName, text.length), text, tarPadding(text.length)]) await put(bytes);
      for (const [i, info] of packages.entries()) {
        update(`${i} of ${packages.length} packages`);
        await put(tarHeader(nameOf(info), info.size));
        for await (const chunk of readPackage(info, pathOf(info))) await put(chunk);
        await put(tarPadding(info.size));
      }
      await put(tarEnd);
    }),
  );
  return { release: list.kernel.release, packages: packages.length, size, sha256: hash.digest('hex') };
}

/** @throws KstitchError - `kit-package-damaged` when the cached file is not what the index said, at its end at the latest */
async function* readPackage({ name, size, sha256 }: PackageInfo, path: string): AsyncGenerator<Buffer> {
  const damaged = (problem: string) =>
    new KstitchError('kit-package-damaged', `read '${path}', package '${name}': ${problem}`);
  const hash = createHash('sha256');
  const file = await open(path).catch((error: unknown) => {
    throw fileError(`read '${path}'`, error);
  });
  try {
    const found = await file.stat();
    if (found.size !== size) throw damaged(`it has ${found.size} bytes, not ${size}`);
    for await (const chunk of file.createReadStream({ autoClose: false })) {
      hash.update(chunk as Buffer);
      yield chunk as Buffer;
    }
  } catch (error) {
    throw fileError(`read '${path}'`, error);
  } finally {
    await file.close();
  }
  const found = hash.digest('hex');
  if (found !== sha256) throw damaged(`its SHA-256 is ${found}, not ${sha256}`);
}

/**
 * Makes the kit that an archive holds, without asking any other machine for anything. Every package is held against the
 * hash that the archive's list names, before any is used.
 *
 * @param sha256 - what the whole file must have: packages hold programs that are run, and who can change them can change the list
 * @throws KstitchError - `input-unreadable`, `kit-archive-damaged`, `kit-archive-rootless`, `kit-other-packages`, and as `fetchKit`
 */
export async function importKit(
  context: Context,
  path: string,
  sha256?: string,
): Promise<{ readonly kit: Kit; readonly archive: ArchiveSummary }> {
  const { list, archive } = await context.progress.step(`read '${basename(path)}'`, update =>
    readArchive(context, path, update),
  );
  if (sha256 === undefined) context.progress.note(`SHA-256 of '${path}': ${archive.sha256}`);
  else if (sha256 !== archive.sha256)
    throw new KstitchError(
      'kit-archive-damaged',
      `read '${path}': its SHA-256 is ${archive.sha256}, not ${sha256}`,
    );
  const { kernel } = list;
  const kit = await makeUnlessThere(context, kernel.release, root =>
    makeKit(
      context,
      kernel,
      {
        image: cached(kernel.image),
        headers: cached(kernel.headers),
        commonHeaders: cached(kernel.commonHeaders),
        kbuild: cached(kernel.kbuild),
        source: cached(kernel.source),
        ...(kernel.patches === undefined ? {} : { patches: cached(kernel.patches) }),
      },
      root,
      rootMakerOf(list, path),
    ),
  );
  checkMadeOf(kit, kernel, path);
  return { kit, archive };
}

/** @throws KstitchError - `kit-other-packages` where the cache had a kit of that release already, made of others */
function checkMadeOf(kit: Kit, kernel: KernelPackages, path: string): void {
  const show = ({ name, version, sha256 }: PackageInfo) => `${name} ${version}, SHA-256 ${sha256}`;
  const had = kit.packages.map(show);
  const has = packagesOf(kernel).map(show);
  const notes = [
    ...has.filter(each => !had.includes(each)).map(each => `in the file: ${each}`),
    ...had.filter(each => !has.includes(each)).map(each => `in the cache: ${each}`),
  ];
  if (notes.length === 0) return;
  throw new KstitchError(
    'kit-other-packages',
    `import '${path}': it has '${kernel.release}' of version '${kernel.version}', and the cache has a kit of version '${kit.packageVersion}' made of other packages`,
    {
      notes,
      help: `remove '${kit.paths.root}' if the kit is not needed any more, and import the file again`,
    },
  );
}

/** @returns what makes the build root out of the archive's packages, and of no others */
export function rootMakerOf({ root }: ArchiveList, path: string): RootMaker {
  return async (context, suite) => {
    if (root?.suite === suite.name)
      return await makeRootOf(context, root, () => Promise.resolve(root.packages.map(cached)));
    throw new KstitchError(
      'kit-archive-rootless',
      `import '${path}': the kernel needs a compiler of Debian '${suite.name}', which neither this machine nor the file has`,
    );
  };
}

/**
 * Brings the packages of an archive into the cache, where they are found by hash.
 *
 * @throws KstitchError - `input-unreadable`, `kit-archive-damaged`; packages before the damage stay in the cache, for each has its hash
 */
export async function readArchive(
  { signal }: Context,
  path: string,
  update: (detail: string) => void,
): Promise<{ readonly list: ArchiveList; readonly archive: ArchiveSummary }> {
  const file = await openArchive(path);
  try {
    const reader = new TarReader(file, path);
    const list = await readList(reader);
    const packages = contentsOf(list);
    await mkdir(join(cacheDirectory(), 'debs'), { recursive: true });
    for (const [i, info] of packages.entries()) {
      if (signal.aborted) throw interruptedError(`read '${path}'`);
      update(`${i} of ${packages.length} packages`);
      const entry = await reader.next();
      if (entry?.name !== nameOf(info) || entry.size !== info.size)
        throw reader.damaged(`package '${info.name}' does not stand where its list says`);
      await keepPackage(reader, entry, info);
    }
    if ((await reader.next()) !== undefined) throw reader.damaged('it holds more than its list says');
    const archive = {
      release: list.kernel.release,
      packages: packages.length,
      size: (await file.stat()).size,
      sha256: reader.digest(),
    };
    return { list, archive };
  } catch (error) {
    throw fileError(`read '${path}'`, error);
  } finally {
    await file.close();
  }
}

async function openArchive(path: string): Promise<FileHandle> {
  // Not waiting for somebody who writes into a pipe.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw inputError(`read '${path}'`, error);
  });
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new KstitchError('input-unreadable', `read '${path}': it is no plain file`);
}

async function readList(reader: TarReader): Promise<ArchiveList> {
  const first = await reader.next().catch((error: unknown) => {
    if (error instanceof KstitchError) return undefined;
    throw error;
  });
  if (first?.name !== listName) throw reader.damaged('it is no file of kstitch kernel export');
  const list = first.size <= maxList ? parseList(await joined(reader, first)) : undefined;
  if (list === undefined) throw reader.damaged(`its '${listName}' is none that this kstitch knows`);
  return list;
}

/** What the cache has of a package is replaced: it may have been damaged there, and what is imported is whole. */
async function keepPackage(reader: TarReader, entry: TarEntry, info: PackageInfo): Promise<void> {
  const final = cached(info);
  const hash = createHash('sha256');
  const partial = `${final}.${process.pid}.partial`;
  const file = await open(partial, 'w');
  try {
    for await (const chunk of reader.contents(entry)) {
      hash.update(chunk);
      await file.writeFile(chunk);
    }
    const sha256 = hash.digest('hex');
    if (sha256 !== info.sha256)
      throw reader.damaged(`the SHA-256 of package '${info.name}' is ${sha256}, not ${info.sha256}`);
    await file.sync();
    await file.close();
    await rename(partial, final);
  } catch (error) {
    await file.close().catch(() => {});
    await rm(partial, { force: true });
    throw error;
  }
}

async function joined(reader: TarReader, entry: TarEntry): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of reader.contents(entry)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** @returns where the cache has a package */
export function cached({ sha256 }: PackageInfo): string {
  return join(cacheDirectory(), 'debs', `${sha256}.deb`);
}

function nameOf({ sha256 }: PackageInfo): string {
  return `debs/${sha256}.deb`;
}

/** @returns every package once, in the order of the archive */
function contentsOf({ kernel, root }: ArchiveList): readonly PackageInfo[] {
  const all = [...packagesOf(kernel), ...(root?.packages ?? [])];
  return [...new Map(all.map(info => [info.sha256, info])).values()];
}

function parseList(text: string): ArchiveList | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value) || value['schema'] !== listSchema || !isRecord(value['kernel'])) return undefined;
  const { release, version, series, image, headers, commonHeaders, kbuild, source, patches } =
    value['kernel'];
  const root = parseRoot(value['root']);
  const isName = (name: unknown): name is string =>
    typeof name === 'string' && /^[0-9][\w.+~:-]{0,63}$/.test(name) && !name.includes('..');
  if (!isName(release) || !isName(version) || !isName(series)) return undefined;
  if (value['root'] !== undefined && root === undefined) return undefined;
  const infos = [image, headers, commonHeaders, kbuild, source, ...(patches === undefined ? [] : [patches])];
  if (!infos.every(isPackageInfo)) return undefined;
  const [a, b, c, d, e, f] = infos.map(plain);
  if (a === undefined || b === undefined || c === undefined || d === undefined || e === undefined)
    return undefined;
  const made = { image: a, headers: b, commonHeaders: c, kbuild: d, source: e };
  const kernel = { release, version, series, ...made, ...(f === undefined ? {} : { patches: f }) };
  return { kernel, ...(root === undefined ? {} : { root }) };
}
