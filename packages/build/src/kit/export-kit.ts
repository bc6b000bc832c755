import { access, constants, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { exists, fileError } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { downloadRoot, findRoot, type RootContents } from '../root/build-root.ts';
import { suiteOf } from '../root/suites.ts';
import { type DebianOptions, debian } from './debian.ts';
import { type KernelPackages, type PackageInfo, packagesOf, plain } from './distribution.ts';
import { downloadPackages, openKit } from './kit.ts';
import { type ArchiveList, type ArchiveSummary, cached, writeArchive } from './kit-archive.ts';

/** What a kernel kit is made of, down to the compiler's packages. */
export interface PackageList {
  readonly release: string;
  readonly version: string;
  readonly packages: readonly PackageInfo[];
  /** Needed where a machine's own compiler and linker are not the kernel's; absent when kstitch knows no suite for it. */
  readonly root?: RootContents;
}

/**
 * Asks the archive what a kit of a release would be made of; downloads lists alone.
 *
 * @throws KstitchError - as `fetchKit`, and `root-suite-unreachable`
 */
export async function listPackages(
  context: Context,
  release: string,
  options: DebianOptions = {},
): Promise<PackageList> {
  const kernel = await debian(options).locate(context, release);
  const root = await rootOf(context, kernel);
  return {
    release,
    version: kernel.version,
    packages: packagesOf(kernel),
    ...(root === undefined ? {} : { root }),
  };
}

async function rootOf(context: Context, kernel: KernelPackages): Promise<RootContents | undefined> {
  const suite = suiteOf(kernel.release);
  if (suite === undefined || kernel.compiler === undefined) return undefined;
  const { packages } = await findRoot(context, suite, kernel.compiler);
  return { suite: suite.name, packages: packages.map(plain) };
}

/**
 * Writes a kit that is in the cache into one file.
 *
 * @param options - `root`: with the packages of a build root, for a machine that has another compiler
 * @throws KstitchError - `kit-absent`, `kit-own`, and as `fetchKit` where packages have to be downloaded again
 */
export async function exportKit(
  context: Context,
  name: string,
  path: string,
  options: { readonly root: boolean },
): Promise<ArchiveSummary> {
  const kit = await openKit(name);
  const [image, headers, commonHeaders, kbuild, source, patches] = kit.packages;
  if (!image || !headers || !commonHeaders || !kbuild || !source) {
    throw new KstitchError(
      'kit-own',
      `export the kernel kit '${name}': it was made of a folder, not of packages`,
    );
  }
  await checkWritable(path);
  const { release, packageVersion: version, series } = kit;
  const made = {
    image,
    headers,
    commonHeaders,
    kbuild,
    source,
    ...(patches === undefined ? {} : { patches }),
  };
  const kernel = { release, version, series, ...made };
  if (!(await areCached(kit.packages))) {
    const distribution = debian();
    await distribution.locate(context, release);
    await downloadPackages(context, distribution, kernel);
  }
  const root = options.root ? await rootOfKit(context, kit.workshop.root, kernel) : undefined;
  const list: ArchiveList = { kernel, ...(root === undefined ? {} : { root }) };
  return await writeArchive(context, path, list, cached);
}

/** Before anything is downloaded for it. */
async function checkWritable(path: string): Promise<void> {
  try {
    // With a slash at its end, so that a file is none.
    await access(`${dirname(resolve(path))}/`, constants.W_OK);
  } catch (error) {
    throw fileError(`write '${path}'`, error);
  }
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() === true)
    throw new KstitchError('host-file-failed', `write '${path}': it is a folder`);
}

async function rootOfKit(
  context: Context,
  used: RootContents | undefined,
  kernel: KernelPackages,
): Promise<RootContents | undefined> {
  // The kit was compiled on this machine: the root that another one needs is the suite's.
  const root =
    used ?? (await rootOf(context, { ...(await debian().locate(context, kernel.release)), ...kernel }));
  if (root === undefined) return undefined;
  if (!(await areCached(root.packages))) await downloadRoot(context, root);
  return { suite: root.suite, packages: root.packages.map(plain) };
}

async function areCached(packages: readonly PackageInfo[]): Promise<boolean> {
  const found = await Promise.all(packages.map(info => exists(cached(info))));
  return found.every(each => each);
}
