import { copyFile, cp, mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileError } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import type { Workshop } from '../root/workshop.ts';

export interface TreeInputs {
  readonly workshop: Workshop;
  readonly release: string;
  /** The unpacked linux-headers package of the flavour, or the folder that the kernel was built in. */
  readonly headers: string;
  /** Lines for `.kernelvariables`. */
  readonly variables: readonly string[];
  /** The unpacked, pristine source; becomes the prepared tree. */
  readonly tree: string;
}

/**
 * Makes a source tree compile single units as Debian compiled them, and external modules.
 *
 * The configuration is *placed*, not computed: .config and all that kconfig derives from it (auto.conf, autoconf.h) come from
 * the headers package. Running kconfig here would ask this machine's tools again, and on one without pahole it silently
 * drops CONFIG_DEBUG_INFO_BTF_MODULES, which changes the layout of struct module. kbuild runs kconfig when .config is newer
 * than auto.conf, hence the times set below.
 *
 * The host tools are compiled from this very source (8 s on 2 cores). linux-kbuild's ready ones would save most of that, but
 * kbuild compiles whatever lacks a record of the command that made it, and the archive has them in a newer version only.
 *
 * `.kernelvariables` is read by the top Makefile of Debian's source: what Debian's build passed on make's command line stands
 * there (release, compiler, who built it), so a plain `make -C TREE fs/ext4/mballoc.o` is right.
 *
 * @throws KstitchError - `kit-prepare-failed` with make's last words, `kit-config-changed`
 */
export async function prepareTree(context: Context, inputs: TreeInputs): Promise<void> {
  const { tree, headers, release } = inputs;
  try {
    await placeConfiguration(inputs);
  } catch (error) {
    throw fileError(`write '${tree}'`, error);
  }
  await context.progress.step('prepare the kernel source', async update => {
    await makePrepare(context, inputs, update);
  });
  const changes: string[] = [];
  for (const name of ['.config', 'include/generated/autoconf.h']) {
    const [shipped = '', used = ''] = await Promise.all(
      [headers, tree].map(folder => readFile(join(folder, name), 'utf8')),
    );
    changes.push(...changedLines(shipped, used).map(line => `${name}: ${line}`));
    // The same lines in another order are none of them, and yet not the same file.
    if (shipped !== used && changes.length === 0) changes.push(`${name}: its lines are in another order`);
  }
  if (changes.length > 0) {
    throw new KstitchError(
      'kit-config-changed',
      `prepare the source of '${release}': the configuration changed`,
      { notes: changes.slice(0, maxChangesShown) },
    );
  }
}

/** How many changed lines go into the error; one option is one line, or two. */
const maxChangesShown = 20;

/** @returns the lines that only one of two texts has, marked as `diff` does */
function changedLines(before: string, after: string): string[] {
  const [old, now] = [before.split('\n'), after.split('\n')] as const;
  const [had, has] = [new Set(old), new Set(now)] as const;
  return [
    ...old.filter(line => !has.has(line)).map(line => `-${line}`),
    ...now.filter(line => !had.has(line)).map(line => `+${line}`),
  ];
}

async function placeConfiguration({ headers, tree, variables }: TreeInputs): Promise<void> {
  await copyFile(join(headers, '.config'), join(tree, '.config'));
  await copyFile(join(headers, 'Module.symvers'), join(tree, 'Module.symvers'));
  for (const folder of ['include/config', 'include/generated']) {
    await mkdir(join(tree, folder), { recursive: true });
    await cp(join(headers, folder), join(tree, folder), { recursive: true });
  }
  // The rules that tell kbuild when to run kconfig again: none.
  await writeFile(join(tree, 'include/config/auto.conf.cmd'), '');
  const past = new Date(0);
  const now = new Date();
  await utimes(join(tree, '.config'), past, past);
  for (const name of [
    'config/auto.conf',
    'config/auto.conf.cmd',
    'generated/autoconf.h',
    'generated/rustc_cfg',
  ]) {
    await utimes(join(tree, 'include', name), now, now).catch((error: unknown) => {
      // Only kernels from 6.1 on know Rust.
      if (!name.endsWith('rustc_cfg')) throw error;
    });
  }
  await writeFile(join(tree, '.kernelvariables'), `${variables.join('\n')}\n`);
}

async function makePrepare(
  context: Context,
  inputs: TreeInputs,
  update: (detail: string) => void,
): Promise<void> {
  const { workshop, tree, release, headers } = inputs;
  try {
    await workshop.run('make', ['-C', tree, `-j${availableParallelism()}`, 'modules_prepare'], {
      signal: context.signal,
      onLine: line => update(line.trim().slice(0, 80)),
    });
  } catch (error) {
    throw prepareError(release, error);
  }
  // Written when init/ is compiled; the time and number of the build cannot be computed.
  await copyFile(
    join(headers, 'include/generated/utsversion.h'),
    join(tree, 'include/generated/utsversion.h'),
  ).catch((error: unknown) => {
    throw fileError(`write '${tree}'`, error);
  });
}

/**
 * @param headers - the unpacked linux-headers package of the flavour
 * @param version - of the package: `6.1.192-1`
 * @returns what Debian's build passed on make's command line
 */
export async function debianVariables(
  headers: string,
  release: string,
  version: string,
): Promise<readonly string[]> {
  const read = (name: string) =>
    readFile(join(headers, name), 'utf8').catch((error: unknown) => {
      throw fileError(`read '${join(headers, name)}'`, error);
    });
  const shipped = await read('.kernelvariables');
  const compile = await read('include/generated/compile.h');
  const builder = (what: string) =>
    new RegExp(`^#define LINUX_COMPILE_${what}\\s+"([\\w.@-]*)"`, 'm').exec(compile)?.[1];
  return [
    shipped,
    `export KBUILD_BUILD_USER = ${builder('BY') ?? 'debian-kernel'}`,
    `export KBUILD_BUILD_HOST = ${builder('HOST') ?? 'lists.debian.org'}`,
    // LINUX_PACKAGE_ID, which every stack trace prints.
    'DISTRIBUTOR = Debian',
    'DISTRIBUTION_OFFICIAL_BUILD = 1',
    `DISTRIBUTION_VERSION = ${version}`,
    `override KERNELRELEASE = ${release}`,
  ];
}

/** @returns the error of a make that failed while preparing; others pass unchanged */
export function prepareError(release: string, error: unknown): unknown {
  if (!(error instanceof KstitchError) || error.code !== 'host-tool-failed') return error;
  return new KstitchError('kit-prepare-failed', `prepare the source of '${release}': make failed`, {
    cause: error,
    notes: error.notes,
  });
}
