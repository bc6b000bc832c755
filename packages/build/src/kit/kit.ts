import { access, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readElf } from '@kstitch/elf/read';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { fileError, removeTree, writeAtomically } from '@kstitch/host/files';
import { withLock } from '@kstitch/host/lock';
import { readBanner } from '@kstitch/kernel/banner';
import { KernelImage } from '@kstitch/kernel/kernel-image';
import { unpackVmlinuz } from '@kstitch/kernel/vmlinuz';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { openRoot } from '../root/build-root.ts';
import { chooseWorkshop } from '../root/choose-workshop.ts';
import { inRoot, thisMachine, type Workshop } from '../root/workshop.ts';
import { debian } from './debian.ts';
import { type Distribution, type KernelPackages, type PackageInfo, plain } from './distribution.ts';
import { type Manifest, manifestSchema, parseManifest } from './manifest.ts';
import { prepareTree } from './prepare-tree.ts';
import { recordUnits } from './record-units.ts';
import { decompressXz, unpackPackage, unpackSource } from './unpack.ts';

/** Everything about one kernel release. Nothing below `paths.root` may be written to: builds share it. */
export interface Kit {
  readonly release: string;
  /** Version of the Debian package: `6.1.192-1`. */
  readonly packageVersion: string;
  /** `6.1` */
  readonly series: string;
  readonly paths: KitPaths;
  /** Where it was prepared and is compiled. */
  readonly workshop: Workshop;
  /** What the kit was made from, with the versions taken. */
  readonly packages: readonly PackageInfo[];
  /** For `--json`. */
  readonly summary: KitSummary;
}

export interface KitPaths {
  readonly root: string;
  /** As shipped. */
  readonly vmlinuz: string;
  /** The ELF file inside vmlinuz: no symbols, no sections but what the loader needs. */
  readonly vmlinux: string;
  /** `lib/modules/RELEASE` of the image package, with modules.order and modules.builtin. */
  readonly modulesDirectory: string;
  readonly config: string;
  readonly symvers: string;
  /** The exact source, prepared for kbuild: single units and `make -C TREE M=…` work without further arguments. */
  readonly tree: string;
  /** The linux-headers package of the flavour with its common headers and kbuild: `make -C HEADERS M=…`. */
  readonly headers: string;
  /** kbuild's own command for every unit of this flavour; read with `readRecordedUnits`. */
  readonly units: string;
}

export interface KitSummary {
  readonly release: string;
  readonly version: string;
  readonly directory: string;
}

export interface FetchOptions {
  /** Address of a snapshot archive to take the kernel from, with or without a timestamp. */
  readonly snapshot?: string;
}

const manifestName = 'kit.json';

/**
 * Opens a kit that has been fetched before.
 *
 * @param release - as `uname -r` prints it
 * @throws KstitchError - `kit-absent` with the command that fetches it, `kit-damaged`
 */
export async function openKit(release: string): Promise<Kit> {
  const root = kitDirectory(release);
  const text = await readFile(join(root, manifestName), 'utf8').catch(() => undefined);
  if (text === undefined) {
    throw new KstitchError('kit-absent', `open the kernel kit of '${release}': it has not been fetched`, {
      help: `fetch it: kstitch kernel fetch ${release}`,
    });
  }
  const manifest = parseManifest(text);
  if (manifest === undefined || manifest.release !== release) throw damagedKit(release, root, manifestName);
  const contents = manifest.root;
  const buildRoot = contents && (await openRoot(contents));
  if (contents !== undefined && buildRoot === undefined)
    throw damagedKit(release, root, `the build root of '${contents.suite}'`);
  const kit = describeKit(root, manifest, buildRoot === undefined ? thisMachine : inRoot(buildRoot));
  for (const path of Object.values(kit.paths)) {
    await access(path).catch(() => {
      throw damagedKit(release, root, path.slice(root.length + 1));
    });
  }
  return kit;
}

/**
 * Opens the kit of a release, making it first when there is none: downloads the packages, unpacks them, prepares the source.
 *
 * Two that want the same kit at once: one makes it, the other waits and opens it. A run that is killed leaves the finished
 * downloads and nothing that looks like a kit.
 *
 * @throws KstitchError - `kit-release-unknown`, `kit-package-gone`, `kit-snapshot-unreachable`, `kit-download-failed`,
 *   `kit-prepare-failed`, `host-disk-full`, `interrupted` …
 */
export async function fetchKit(context: Context, release: string, options: FetchOptions = {}): Promise<Kit> {
  const present = await openIfWhole(release);
  if (present !== undefined) return present;

  return await withLock(context, `kit ${release}`, async () => {
    // Whoever held the lock before us has made it, most likely.
    const made = await openIfWhole(release);
    if (made !== undefined) return made;

    const distribution = debian(options);
    const packages = await distribution.locate(context, release);
    noteOtherVersions(context, packages);
    const files = await downloadPackages(context, distribution, packages);

    // What an earlier run left half-made when it was killed, or what lacks files.
    const root = kitDirectory(release);
    await removeTree(root);
    try {
      await mkdir(root, { recursive: true });
      await makeKit(context, packages, files, root);
    } catch (error) {
      await removeTree(root);
      throw fileError(`make the kernel kit of '${release}'`, error);
    }
    return await openKit(release);
  });
}

/** @returns the kits in the cache, by release */
export async function listKits(): Promise<readonly KitSummary[]> {
  const names = await readdir(join(cacheDirectory(), 'kits')).catch(() => []);
  const kits = await Promise.all(names.filter(name => !name.startsWith('.')).map(openIfWhole));
  return kits.flatMap(kit => (kit === undefined ? [] : [kit.summary]));
}

/** @returns the releases that the configured archives offer, newest first */
export async function availableReleases(context: Context): Promise<readonly string[]> {
  return await debian().releases(context);
}

type Downloaded = Readonly<Record<'image' | 'headers' | 'commonHeaders' | 'kbuild' | 'source', string>>;

async function downloadPackages(
  context: Context,
  distribution: Distribution,
  packages: KernelPackages,
): Promise<Downloaded> {
  const fetch = (wanted: PackageInfo) =>
    context.progress.step(`download ${wanted.name} (${megabytes(wanted.size)})`, update =>
      distribution.download(context, wanted, update),
    );
  return {
    image: await fetch(packages.image),
    headers: await fetch(packages.headers),
    commonHeaders: await fetch(packages.commonHeaders),
    kbuild: await fetch(packages.kbuild),
    source: await fetch(packages.source),
  };
}

/**
 * Fills `root` with everything a kit consists of. The manifest comes last and makes it a kit: it is made where it stays
 * rather than renamed at the end, because kbuild records absolute paths and compiles its tools anew in a tree that was moved.
 */
async function makeKit(
  context: Context,
  packages: KernelPackages,
  files: Downloaded,
  root: string,
): Promise<void> {
  const { progress, signal } = context;
  const { release } = packages;
  const unpacked = join(root, 'packages');
  // Debian 12 names its modules `/lib/modules/…`, 13 `/usr/lib/modules/…`: both find them.
  await mkdir(join(unpacked, 'usr/lib'), { recursive: true });
  await symlink('usr/lib', join(unpacked, 'lib'));
  await progress.step('unpack the kernel image and headers', async () => {
    for (const file of [files.image, files.headers, files.commonHeaders, files.kbuild]) {
      await unpackPackage(file, unpacked, signal);
    }
  });
  const headers = `packages/usr/src/linux-headers-${release}`;
  await fitHeaders(join(root, headers), packages.commonHeaders.name);

  const banner = await progress.step('unpack the kernel out of vmlinuz', async () => {
    const vmlinuz = await readFile(join(unpacked, 'boot', `vmlinuz-${release}`));
    const vmlinux = await unpackVmlinuz(vmlinuz, payload => decompressXz(payload, signal));
    await writeFile(join(root, 'vmlinux'), vmlinux);
    return readBanner(new KernelImage(readElf(vmlinux, `vmlinux of ${release}`)));
  });

  // The kernel says itself what it was compiled with.
  const workshop = await chooseWorkshop(context, release, banner);

  const tree = join(root, 'tree');
  await progress.step('unpack the kernel source', () =>
    unpackSource(files.source, packages.series, tree, signal),
  );
  await prepareTree(context, {
    workshop,
    release,
    version: packages.version,
    headers: join(root, headers),
    tree,
  });
  const units = await recordUnits(context, workshop, release, tree, join(root, 'units.tsv'));

  const manifest: Manifest = {
    schema: manifestSchema,
    release,
    packageVersion: packages.version,
    series: packages.series,
    headers,
    units,
    packages: [packages.image, packages.headers, packages.commonHeaders, packages.kbuild, packages.source],
    ...(workshop.root === undefined
      ? {}
      : { root: { suite: workshop.root.suite, packages: workshop.root.packages.map(plain) } }),
  };
  await writeAtomically(join(root, manifestName), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

/**
 * Makes unpacked headers usable where they lie: their Makefile includes that of the common headers by the path it has when
 * installed, `/usr/src/…`. The vmlinux that 6.12's headers bring holds only BTF, for pahole to give modules BTF of their own: a
 * livepatch needs none, and would differ between machines with and without pahole.
 */
async function fitHeaders(headers: string, common: string): Promise<void> {
  const file = join(headers, 'Makefile');
  const makefile = await readFile(file, 'utf8').catch((error: unknown) => {
    throw fileError(`read '${file}'`, error);
  });
  await writeFile(file, makefile.replaceAll(`/usr/src/${common}/`, `../${common}/`));
  await rm(join(headers, 'vmlinux'), { force: true });
}

function describeKit(root: string, manifest: Manifest, workshop: Workshop): Kit {
  const { release, packageVersion, series, packages } = manifest;
  const at = (path: string) => join(root, path);
  return {
    release,
    packageVersion,
    series,
    packages,
    workshop,
    paths: {
      root,
      vmlinuz: at(`packages/boot/vmlinuz-${release}`),
      vmlinux: at('vmlinux'),
      modulesDirectory: at(`packages/lib/modules/${release}`),
      config: at(`packages/boot/config-${release}`),
      symvers: at('tree/Module.symvers'),
      tree: at('tree'),
      headers: at(manifest.headers),
      units: at('units.tsv'),
    },
    summary: { release, version: packageVersion, directory: root },
  };
}

async function openIfWhole(release: string): Promise<Kit | undefined> {
  try {
    return await openKit(release);
  } catch (error) {
    if (error instanceof KstitchError && (error.code === 'kit-absent' || error.code === 'kit-damaged'))
      return undefined;
    throw error;
  }
}

function kitDirectory(release: string): string {
  // A release becomes part of paths and package names; what no package can be called has no kit.
  if (!/^[\w][\w.+~-]*$/.test(release)) {
    throw new KstitchError(
      'kit-release-unknown',
      `find the kernel '${release}': no kernel release looks like that`,
    );
  }
  return join(cacheDirectory(), 'kits', release);
}

function noteOtherVersions(context: Context, packages: KernelPackages): void {
  const { kbuild, version } = packages;
  if (kbuild.version === version || !kbuild.name.includes(packages.series)) return;
  context.progress.note(
    `${kbuild.name} is taken in version ${kbuild.version}: the archive does not have ${version}, and the headers allow it`,
  );
}

function damagedKit(release: string, root: string, missing: string): KstitchError {
  return new KstitchError(
    'kit-damaged',
    `open the kernel kit of '${release}': '${missing}' is missing or unreadable`,
    {
      help: `remove '${root}' and fetch the kit again: kstitch kernel fetch ${release}`,
    },
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
