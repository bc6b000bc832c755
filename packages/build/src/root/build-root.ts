/**
 * A build root: the compiler and the tools of another Debian release, unpacked into a folder of the cache.
 *
 * apt names the packages (with a state of its own, in which nothing is installed), their files are unpacked side by side, and that
 * is all: no package's script is run, so no privilege is needed, and the same packages always give the same files.
 */
import { createHash } from 'node:crypto';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { buildDirectoryAtomically, exists, removeTree } from '@kstitch/host/files';
import { withLock } from '@kstitch/host/lock';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { Apt } from '../kit/apt.ts';
import type { PackageInfo } from '../kit/distribution.ts';
import { unpackPackage } from '../kit/unpack.ts';
import { allSuites, type Suite } from './suites.ts';

/** What a root is made of; its folder is named for it. */
export interface RootContents {
  /** `trixie` */
  readonly suite: string;
  /** Sorted by name. */
  readonly packages: readonly PackageInfo[];
}

export interface BuildRoot extends RootContents {
  /** Nothing in it may be changed: builds share it. */
  readonly directory: string;
}

/** What kbuild calls, or links its own tools with, besides the compiler. */
const tools =
  'base-files bash dash coreutils diffutils findutils grep gzip hostname mawk sed tar util-linux xz-utils dpkg gcc binutils ' +
  'libc6-dev make flex bison bc perl python3 libelf-dev libssl-dev';

/**
 * Makes a root of a suite's newest packages, or opens the one that has been made of the same.
 *
 * @param compiler - package of the compiler: `gcc-14`
 * @throws KstitchError - `root-suite-unreachable`, `kit-download-failed`, `host-disk-full`, `interrupted` …
 */
export async function makeRoot(context: Context, suite: Suite, compiler: string): Promise<BuildRoot> {
  const contents = await findRoot(context, suite, compiler);
  return await makeRootOf(context, contents, () => downloadRoot(context, contents));
}

/**
 * @returns what a root of a suite's newest packages is made of
 * @throws KstitchError - `root-suite-unreachable`
 */
export async function findRoot(context: Context, suite: Suite, compiler: string): Promise<RootContents> {
  const packages = await choosePackages(context, aptOf(suite), suite, compiler);
  return { suite: suite.name, packages };
}

/** @returns the packages' files, in order */
export async function downloadRoot(context: Context, contents: RootContents): Promise<readonly string[]> {
  const suite = allSuites().find(({ name }) => name === contents.suite);
  if (suite === undefined) {
    throw new KstitchError(
      'root-suite-unreachable',
      `make a build root of '${contents.suite}': no such Debian release is known`,
    );
  }
  const apt = aptOf(suite);
  await apt.refresh(context);
  return await context.progress.step(
    `download the build root (${contents.packages.length} packages)`,
    update => apt.downloadAll(context, contents.packages, update),
  );
}

/**
 * Makes a root of exactly these packages, or opens the one that has been made of the same.
 *
 * @param download - gives the packages' files, in order
 */
export async function makeRootOf(
  context: Context,
  contents: RootContents,
  download: () => Promise<readonly string[]>,
): Promise<BuildRoot> {
  const root = { ...contents, directory: directoryOf(contents) };
  if (await isThere(root)) return root;
  return await withLock(context, `root ${contents.suite}`, async () => {
    if (await isThere(root)) return root;
    const files = await download();
    await removeTree(root.directory);
    await context.progress.step('unpack the build root', update =>
      buildDirectoryAtomically(root.directory, directory => fillRoot(context, directory, files, update)),
    );
    return root;
  });
}

function aptOf(suite: Suite): Apt {
  return new Apt(`suite-${suite.name}`, suite.sources);
}

/** @returns the root made of these packages earlier; undefined when there is none */
export async function openRoot(contents: RootContents): Promise<BuildRoot | undefined> {
  const root = { ...contents, directory: directoryOf(contents) };
  return (await isThere(root)) ? root : undefined;
}

async function choosePackages(
  context: Context,
  apt: Apt,
  suite: Suite,
  compiler: string,
): Promise<readonly PackageInfo[]> {
  try {
    await apt.refresh(context);
    return await context.progress.step(`choose the packages of a build root of '${suite.name}'`, () =>
      apt.closure([...tools.split(' '), compiler], context.signal),
    );
  } catch (error) {
    if (!(error instanceof KstitchError)) throw error;
    if (error.code !== 'kit-lists-failed' && error.code !== 'host-tool-failed') throw error;
    throw new KstitchError(
      'root-suite-unreachable',
      `make a build root of Debian '${suite.name}': its archive does not give '${compiler}' and what it needs`,
      { cause: error, notes: [...suite.sources.split('\n'), ...error.notes] },
    );
  }
}

async function fillRoot(
  context: Context,
  directory: string,
  files: readonly string[],
  update: (detail: string) => void,
): Promise<void> {
  // Debian's merged /usr: until 13 packages still name files by the old paths.
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    await mkdir(join(directory, 'usr', name), { recursive: true });
    await symlink(`usr/${name}`, join(directory, name));
  }
  for (const [i, file] of files.entries()) {
    update(`${i} of ${files.length}`);
    await unpackPackage(file, directory, context.signal);
  }
  // What a package's script would have done (update-alternatives).
  await symlink('mawk', join(directory, 'usr/bin/awk'));
  for (const name of ['dev', 'proc', 'tmp']) await mkdir(join(directory, name), { recursive: true });
}

/** @returns where the root of these packages is, once it is made */
export function directoryOf({ suite, packages }: RootContents): string {
  const hash = createHash('sha256')
    .update(packages.map(({ sha256 }) => sha256).join('\n'))
    .digest('hex');
  return join(cacheDirectory(), 'roots', `${suite}-${hash.slice(0, 16)}`);
}

/** A folder alone may be there for less: entering a root makes the places that are mounted on. */
async function isThere({ directory }: BuildRoot): Promise<boolean> {
  return await exists(join(directory, 'usr/bin/make'));
}
