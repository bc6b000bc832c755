import { access, mkdir, readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { buildId } from '@kstitch/elf/notes';
import { readElf } from '@kstitch/elf/read';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { fileError, removeTree } from '@kstitch/host/files';
import { withLock } from '@kstitch/host/lock';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { makeRoot, openRoot } from '../root/build-root.ts';
import { inRoot, thisMachine, type Workshop } from '../root/workshop.ts';
import { debian } from './debian.ts';
import type { Distribution, KernelPackages, PackageInfo } from './distribution.ts';
import { makeKit, type PackageFiles } from './make-kit.ts';
import { type Manifest, manifestName, parseManifest } from './manifest.ts';

/** Everything about one kernel release. Nothing below `paths.root` may be written to: builds share it. */
export interface Kit {
  /** What {@link openKit} finds it by: the release, or, of a kernel that no archive has, `RELEASE@CONTENT`. */
  readonly name: string;
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
  readonly name: string;
  readonly release: string;
  readonly version: string;
  readonly directory: string;
}

/** A release becomes part of paths and package names; what no package can be called has no kit. */
const kitNames = /^[\w][\w.+~-]*(?:@[0-9a-f]{12})?$/;

export interface FetchOptions {
  /** Address of a snapshot archive to take the kernel from, with or without a timestamp. */
  readonly snapshot?: string;
}

/**
 * Opens a kit that has been fetched before.
 *
 * @param name - as in {@link Kit.name}
 * @throws KstitchError - `kit-absent` with the command that fetches it, `kit-damaged`
 */
export async function openKit(name: string): Promise<Kit> {
  const root = kitDirectory(name);
  const text = await readFile(join(root, manifestName), 'utf8').catch(() => undefined);
  if (text === undefined) {
    throw new KstitchError('kit-absent', `open the kernel kit of '${name}': it has not been fetched`, {
      help: makeAgain(name),
    });
  }
  const manifest = parseManifest(text);
  if (manifest === undefined || manifest.release !== name.replace(/@.*/, ''))
    throw damagedKit(name, root, manifestName);
  const contents = manifest.root;
  const buildRoot = contents && (await openRoot(contents));
  if (contents !== undefined && buildRoot === undefined)
    throw damagedKit(name, root, `the build root of '${contents.suite}'`);
  const kit = describeKit(root, manifest, buildRoot === undefined ? thisMachine : inRoot(buildRoot));
  for (const path of Object.values(kit.paths)) {
    await access(path).catch(() => {
      throw damagedKit(name, root, path.slice(root.length + 1));
    });
  }
  return kit;
}

/**
 * Opens the kit of a release, making it first when there is none: downloads the packages, unpacks them, prepares the source.
 *
 * A run that is killed leaves the finished downloads and nothing that looks like a kit.
 *
 * @throws KstitchError - `kit-release-unknown`, `kit-package-gone`, `kit-snapshot-unreachable`, `kit-download-failed`,
 *   `kit-prepare-failed`, `host-disk-full`, `interrupted` …
 */
export async function fetchKit(context: Context, release: string, options: FetchOptions = {}): Promise<Kit> {
  return await makeUnlessThere(context, release, async root => {
    const distribution = debian(options);
    const packages = await distribution.locate(context, release);
    noteOtherVersions(context, packages);
    const files = await downloadPackages(context, distribution, packages);
    await makeKit(context, packages, files, root, makeRoot);
  });
}

/**
 * Opens a kit, making it first when there is none. Two that want the same kit at once: one makes it, the other waits.
 *
 * @param make - fills an empty folder, which is removed again when that fails
 */
export async function makeUnlessThere(
  context: Context,
  name: string,
  make: (root: string) => Promise<void>,
): Promise<Kit> {
  const present = await openIfWhole(name);
  if (present !== undefined) return present;
  return await withLock(context, `kit ${name}`, async () => {
    // Whoever held the lock before us has made it, most likely.
    const made = await openIfWhole(name);
    if (made !== undefined) return made;
    // What an earlier run left half-made when it was killed, or what lacks files.
    const root = kitDirectory(name);
    await removeTree(root);
    try {
      await mkdir(root, { recursive: true });
      await make(root);
    } catch (error) {
      await removeTree(root);
      throw fileError(`make the kernel kit of '${name}'`, error);
    }
    return await openKit(name);
  });
}

/**
 * @param running - what the machine says of its kernel: the build id in lower-case hex, empty where it tells none
 * @throws KstitchError - `kit-other-build`
 */
export async function checkRunning(
  kit: Kit,
  running: { readonly release: string; readonly buildId: string },
): Promise<void> {
  const bytes = await readFile(kit.paths.vmlinux).catch((error: unknown) => {
    throw fileError(`read '${kit.paths.vmlinux}'`, error);
  });
  const own = buildId(readElf(bytes, `vmlinux of ${kit.release}`)) ?? '';
  if (running.release === kit.release && running.buildId === own && own !== '') return;
  const other = running.release === kit.release ? '' : ` ('${kit.release}')`;
  throw new KstitchError(
    'kit-other-build',
    `use the kit of the running '${running.release}': the kernel that runs has the build id '${running.buildId || 'none'}', the kit's${other} has '${own || 'none'}'`,
  );
}

/** @returns the kits in the cache, by release */
export async function listKits(): Promise<readonly KitSummary[]> {
  const names = await readdir(join(cacheDirectory(), 'kits')).catch(() => []);
  // Somebody may have put something beside them.
  const kits = await Promise.all(names.filter(name => kitNames.test(name)).map(openIfWhole));
  return kits.flatMap(kit => (kit === undefined ? [] : [kit.summary]));
}

/** @returns the releases that the configured archives offer, newest first */
export async function availableReleases(context: Context): Promise<readonly string[]> {
  return await debian().releases(context);
}

/** @returns the files; what is in the cache already is not downloaded again */
export async function downloadPackages(
  context: Context,
  distribution: Distribution,
  packages: KernelPackages,
): Promise<PackageFiles> {
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
    ...(packages.patches === undefined ? {} : { patches: await fetch(packages.patches) }),
  };
}

function describeKit(root: string, manifest: Manifest, workshop: Workshop): Kit {
  const { release, packageVersion, series, packages } = manifest;
  const at = (path: string) => join(root, path);
  const name = basename(root);
  return {
    name,
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
    summary: { name, release, version: packageVersion, directory: root },
  };
}

async function openIfWhole(name: string): Promise<Kit | undefined> {
  try {
    return await openKit(name);
  } catch (error) {
    if (error instanceof KstitchError && (error.code === 'kit-absent' || error.code === 'kit-damaged'))
      return undefined;
    throw error;
  }
}

function kitDirectory(name: string): string {
  if (!kitNames.test(name)) {
    throw new KstitchError(
      'kit-release-unknown',
      `find the kernel '${name}': no kernel release looks like that`,
    );
  }
  return join(cacheDirectory(), 'kits', name);
}

function noteOtherVersions(context: Context, packages: KernelPackages): void {
  const { kbuild, version } = packages;
  if (kbuild.version === version || !kbuild.name.includes(packages.series)) return;
  context.progress.note(
    `${kbuild.name} is taken in version ${kbuild.version}: the archive does not have ${version}, and the headers allow it`,
  );
}

function makeAgain(name: string): string {
  return name.includes('@')
    ? 'make it again from the folder that the kernel was built in: kstitch kernel fetch --kernel-dir DIR'
    : `fetch it: kstitch kernel fetch ${name}`;
}

function damagedKit(name: string, root: string, missing: string): KstitchError {
  return new KstitchError(
    'kit-damaged',
    `open the kernel kit of '${name}': '${missing}' is missing or unreadable`,
    {
      help: `remove '${root}'; ${makeAgain(name)}`,
    },
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
