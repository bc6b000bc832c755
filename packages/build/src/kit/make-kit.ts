import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readElf } from '@kstitch/elf/read';
import { fileError, writeAtomically } from '@kstitch/host/files';
import { readBanner } from '@kstitch/kernel/banner';
import { KernelImage } from '@kstitch/kernel/kernel-image';
import { unpackVmlinuz } from '@kstitch/kernel/vmlinuz';
import type { Context } from '@kstitch/report/context';
import { chooseWorkshop, type RootMaker } from '../root/choose-workshop.ts';
import type { Workshop } from '../root/workshop.ts';
import { applyFlavourPatches } from './apply-flavour-patches.ts';
import { type KernelPackages, packagesOf, plain } from './distribution.ts';
import { type Manifest, manifestName, manifestSchema } from './manifest.ts';
import { debianVariables, prepareTree } from './prepare-tree.ts';
import { recordUnits } from './record-units.ts';
import { decompressXz, unpackPackage, unpackSource } from './unpack.ts';

/** The packages of one kernel as files. */
export type PackageFiles = Readonly<
  Record<'image' | 'headers' | 'commonHeaders' | 'kbuild' | 'source', string>
> & { readonly patches?: string };

/**
 * Fills `root` with everything a kit consists of. The manifest comes last and makes it a kit: it is made where it stays
 * rather than renamed at the end, because kbuild records absolute paths and compiles its tools anew in a tree that was moved.
 *
 * @param rootMaker - makes the build root where this machine has another compiler than the kernel
 */
export async function makeKit(
  context: Context,
  packages: KernelPackages,
  files: PackageFiles,
  root: string,
  rootMaker: RootMaker,
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
  const workshop = await chooseWorkshop(context, release, banner, rootMaker);
  const tree = join(root, 'tree');
  await progress.step('unpack the kernel source', () =>
    unpackSource(files.source, packages.series, tree, signal),
  );
  const { patches } = files;
  if (patches !== undefined)
    await progress.step('apply the real-time patches', () =>
      applyFlavourPatches(patches, 'rt', tree, signal),
    );
  await finishKit(context, root, {
    release,
    packageVersion: packages.version,
    series: packages.series,
    workshop,
    headers,
    generated: join(root, headers),
    variables: await debianVariables(join(root, headers), release, packages.version),
    packages: packagesOf(packages),
  });
}

/** A kit whose files lie in place, the source in `tree`, not prepared yet. */
interface UnfinishedKit
  extends Pick<Manifest, 'release' | 'packageVersion' | 'series' | 'headers' | 'packages'> {
  readonly workshop: Workshop;
  /** Folder with the configuration and the headers that were generated from it. */
  readonly generated: string;
  /** Lines for `.kernelvariables`. */
  readonly variables: readonly string[];
}

/** Prepares the source, records the units, writes the manifest. */
export async function finishKit(context: Context, root: string, unfinished: UnfinishedKit): Promise<void> {
  const { release, packageVersion, series, headers, packages, workshop } = unfinished;
  const tree = join(root, 'tree');
  const { generated, variables } = unfinished;
  await prepareTree(context, { workshop, release, headers: generated, tree, variables });
  const units = await recordUnits(context, workshop, release, tree, join(root, 'units.tsv'));

  const manifest: Manifest = {
    schema: manifestSchema,
    release,
    packageVersion,
    series,
    headers,
    units,
    packages,
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
