/**
 * The kit of a kernel that no archive has: the folder in which somebody built it, copied.
 *
 * It is copied because a kit never changes and that folder does, and because recording how each unit is compiled overwrites the
 * objects of a tree. From then on it is a kit as any other, named for the release and for what was in the folder.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { readElf } from '@kstitch/elf/read';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { fileError, inputError, writeAtomically } from '@kstitch/host/files';
import { run } from '@kstitch/host/run';
import { type Banner, readBanner } from '@kstitch/kernel/banner';
import { KernelImage } from '@kstitch/kernel/kernel-image';
import { readModinfo } from '@kstitch/kernel/modinfo';
import { parseModulePaths } from '@kstitch/kernel/module-lists';
import { unpackVmlinuz } from '@kstitch/kernel/vmlinuz';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { checkCompiler } from '../compile/compiler.ts';
import { makeRoot } from '../root/build-root.ts';
import { chooseWorkshop } from '../root/choose-workshop.ts';
import {
  checkOwnConfig,
  compareOwnParts,
  compareVermagics,
  defined,
  type OwnBuild,
} from './check-own-kernel.ts';
import { type Kit, makeUnlessThere } from './kit.ts';
import { finishKit } from './make-kit.ts';
import { copyOwnFiles, hashOwnFiles, imagePath, listOwnFiles, type OwnFile, stampOf } from './own-files.ts';
import { decompressXz } from './unpack.ts';

const ownPrefix = 'own-';

/**
 * @param kernel - as a bundle names it
 * @returns the name of the kit that a livepatch was built with
 */
export function kitNameOf(kernel: { readonly release: string; readonly packageVersion: string }): string {
  const { release, packageVersion } = kernel;
  return packageVersion.startsWith(ownPrefix)
    ? `${release}@${packageVersion.slice(ownPrefix.length)}`
    : release;
}

/** What a folder has in which a kernel was built, and a kit needs. */
const neededFiles = [
  'Makefile',
  '.config',
  'include/config/auto.conf',
  'include/generated/utsrelease.h',
  'include/generated/utsversion.h',
  'vmlinux',
  imagePath,
  'Module.symvers',
  'modules.order',
  'modules.builtin',
];

/** What is read of the folder before anything is copied. */
interface OwnKernel {
  readonly directory: string;
  readonly build: OwnBuild;
  readonly release: string;
  readonly files: readonly OwnFile[];
}

/**
 * Opens the kit of a folder in which a kernel was built, making it first when there is none or the folder has changed.
 *
 * @throws KstitchError - `input-unreadable`, `own-kernel-incomplete`, `own-kernel-mixed`, `own-kernel-config`, and as `fetchKit`
 */
export async function kitOfDirectory(context: Context, path: string): Promise<Kit> {
  const kernel = await readOwnKernel(context, resolve(path));
  const content = await context.progress.step('look whether the kernel has changed', () => contentOf(kernel));
  const name = `${kernel.release}@${content}`;
  return await makeUnlessThere(context, name, root => makeOwnKit(context, kernel, content, root));
}

async function readOwnKernel({ signal }: Context, directory: string): Promise<OwnKernel> {
  const what = `use the kernel in '${directory}'`;
  const found = await stat(directory).catch((error: unknown) => {
    throw inputError(what, error);
  });
  if (!found.isDirectory()) throw new KstitchError('input-unreadable', `${what}: it is no folder`);
  const missing: string[] = [];
  for (const name of neededFiles) if (!(await isFile(join(directory, name)))) missing.push(name);
  const incomplete = (lacks: string) =>
    new KstitchError('own-kernel-incomplete', `${what}: it has no ${lacks}`);
  if (missing.length > 0) throw incomplete(missing.map(name => `'${name}'`).join(', '));
  // Before anything in them is read: what is changed from here on is noticed when all is copied.
  const files = await listOwnFiles(directory, signal);
  const text = async (name: string) =>
    await readFile(join(directory, name), 'utf8').catch((error: unknown) => {
      throw inputError(`read '${join(directory, name)}'`, error);
    });
  const build: OwnBuild = {
    config: await text('.config'),
    compiledConfig: await text('include/config/auto.conf'),
    utsRelease: await text('include/generated/utsrelease.h'),
    utsVersion: await text('include/generated/utsversion.h'),
  };
  const release = defined('UTS_RELEASE', build.utsRelease);
  if (release === undefined) throw incomplete('release');
  checkOwnConfig(directory, build.config);
  return { directory, build, release, files };
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw inputError(`read '${path}'`, error);
  }
}

/** Hashing all files takes seconds; whether any was touched since is found in less. */
async function contentOf({ directory, files }: OwnKernel): Promise<string> {
  const folder = join(cacheDirectory(), 'own-kernels');
  const file = join(folder, sha256(directory));
  const stamp = stampOf(files);
  const known = await readFile(file, 'utf8').catch(() => '');
  const [knownStamp, knownContent] = known.trim().split(' ');
  if (knownStamp === stamp && /^[0-9a-f]{12}$/.test(knownContent ?? '')) return knownContent ?? '';
  const content = (await hashOwnFiles(directory, files)).slice(0, 12);
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw fileError(`make '${folder}'`, error);
  });
  await writeAtomically(file, `${stamp} ${content}\n`);
  return content;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Fills `root` as a kit of packages is filled: what reads it knows no difference. */
async function makeOwnKit(context: Context, kernel: OwnKernel, content: string, root: string): Promise<void> {
  const { progress, signal } = context;
  const { directory, build, release, files } = kernel;
  const boot = join(root, 'packages/boot');
  const modules = join(root, 'packages/usr/lib/modules', release);
  for (const folder of [boot, modules]) await mkdir(folder, { recursive: true });
  await symlink('usr/lib', join(root, 'packages/lib'));
  const tree = join(root, 'tree');
  await progress.step('copy the kernel and its modules', async () => {
    await copyOwnFiles(directory, files, 'image', root);
    await copyOwnFiles(directory, files, 'module', join(modules, 'kernel'));
  });
  const banner = await progress.step('see that its parts are of one build', async () => {
    await rename(join(root, imagePath), join(boot, `vmlinuz-${release}`));
    await rm(join(root, 'arch'), { recursive: true });
    await writeFile(join(boot, `config-${release}`), build.config);
    // Debug information is most of a vmlinux, and read each time.
    await stripDebug(directory, join(root, 'vmlinux'), signal);
    return await checkParts(kernel, root, boot);
  });
  await placeModuleLists(root, modules);
  await checkModules(kernel, modules);

  const workshop = await chooseWorkshop(context, release, banner, makeRoot);
  await checkCompiler(context, workshop, banner);
  const generated = join(root, 'generated');
  await progress.step('copy the source', async () => {
    await copyOwnFiles(directory, files, 'source', tree);
    // Placed in the source once more when that is prepared. From the copy: the folder may change from here on.
    await copyOwnFiles(directory, files.filter(isConfiguration), 'source', generated);
    await rename(join(root, 'Module.symvers'), join(generated, 'Module.symvers'));
  });
  // Its name says what is in it.
  if (stampOf(await listOwnFiles(directory, signal)) !== stampOf(files))
    refuseMixed(directory, ['files in it were changed while it was copied']);
  await admitVariables(tree, directory);
  await finishKit(context, root, {
    release,
    packageVersion: ownPrefix + content,
    series: /^\d+\.\d+/.exec(release)?.[0] ?? release,
    workshop,
    headers: 'tree',
    generated,
    variables: variablesOf(release, banner),
    packages: [],
  });
}

/** What a package of headers has of a kernel besides Module.symvers. */
function isConfiguration({ path }: OwnFile): boolean {
  return path === '.config' || /^include\/(?:config|generated)\//.test(path);
}

async function stripDebug(directory: string, vmlinux: string, signal: AbortSignal): Promise<void> {
  await run('strip', ['--strip-debug', vmlinux], { signal }).catch(async (failure: unknown) => {
    if (!(failure instanceof KstitchError) || failure.code !== 'host-tool-failed') throw failure;
    // It fails of a full disk, too.
    const bytes = await readFile(vmlinux);
    try {
      readElf(bytes, vmlinux);
    } catch (cause) {
      throw new KstitchError(
        'own-kernel-incomplete',
        `use the kernel in '${directory}': its 'vmlinux' is no whole ELF file`,
        { cause },
      );
    }
    throw failure;
  });
}

async function checkParts(
  { directory, build, release }: OwnKernel,
  root: string,
  boot: string,
): Promise<Banner> {
  const what = `vmlinux in '${directory}'`;
  const vmlinux = new KernelImage(readElf(await readFile(join(root, 'vmlinux')), what));
  const banner = readBanner(vmlinux);
  const packed = await readFile(join(boot, `vmlinuz-${release}`));
  const unpacked = await unpackVmlinuz(packed, payload => decompressXz(payload));
  const compressed = new KernelImage(readElf(unpacked, `bzImage in '${directory}'`));
  refuseMixed(directory, compareOwnParts(build, vmlinux, banner, compressed));
  return banner;
}

/** The lists as modules_install writes them: kbuild's own have no `kernel/` in front, and since 6.3 name objects. */
async function placeModuleLists(root: string, modules: string): Promise<void> {
  for (const name of ['modules.order', 'modules.builtin']) {
    const text = await readFile(join(root, name), 'utf8');
    const paths = parseModulePaths(text).map(
      path => `kernel/${path.replace(/^kernel\//, '').replace(/\.o$/, '.ko')}`,
    );
    await writeFile(join(modules, name), paths.map(path => `${path}\n`).join(''));
    await rm(join(root, name));
  }
}

async function checkModules({ directory, release }: OwnKernel, modules: string): Promise<void> {
  const found: string[] = [];
  const vermagics = new Map<string, string | undefined>();
  for (const path of parseModulePaths(await readFile(join(modules, 'modules.order'), 'utf8'))) {
    const bytes = await readFile(join(modules, path)).catch(() => undefined);
    const shown = path.replace(/^kernel\//, '');
    if (bytes === undefined) found.push(`module '${shown}' of modules.order is not there`);
    else vermagics.set(shown, readModinfo(readElf(bytes, path)).get('vermagic'));
  }
  refuseMixed(directory, [...found, ...compareVermagics(release, vermagics)]);
}

function refuseMixed(directory: string, found: readonly string[]): void {
  if (found.length === 0) return;
  throw new KstitchError(
    'own-kernel-mixed',
    `use the kernel in '${directory}': its parts are not of one build`,
    { notes: found.length > 12 ? [...found.slice(0, 12), `${found.length - 12} more`] : found },
  );
}

/** What the kernel was made with, for every make in the copy. */
function variablesOf(release: string, { compiler }: Banner): readonly string[] {
  return [
    `CC = ${compiler.program}`,
    `override KERNELRELEASE = ${release}`,
    // The copy has no .git, by which kbuild would find the end of the release.
    `override filechk_kernel.release = echo "${release}"`,
  ];
}

/** Debian's Makefile reads .kernelvariables where the tools have been named and not used yet; another one is made to. */
async function admitVariables(tree: string, directory: string): Promise<void> {
  const file = join(tree, 'Makefile');
  const makefile = await readFile(file, 'latin1');
  if (/^-include \.kernelvariables$/m.test(makefile)) return;
  const admitted = makefile.replace(/^UTS_MACHINE\s*:=/m, line => `-include .kernelvariables\n${line}`);
  if (admitted === makefile) {
    throw new KstitchError(
      'own-kernel-incomplete',
      `use the kernel in '${directory}': its Makefile has no UTS_MACHINE, so it is not that of a kernel's source`,
    );
  }
  await rm(file);
  await writeFile(file, admitted, 'latin1');
}
