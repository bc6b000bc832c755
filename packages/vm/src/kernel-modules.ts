/** The modules of the kernel's own image package that a virtual machine needs, with all that they need. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readElf } from '@kstitch/elf/read';
import { readPerhapsCompressed } from '@kstitch/host/compressed-file';
import { fileError } from '@kstitch/host/files';
import type { Modinfo } from '@kstitch/kernel/modinfo';
import { readModinfo } from '@kstitch/kernel/modinfo';
import { dependenciesFromModinfo, modulesInLoadOrder, parseModulePaths } from '@kstitch/kernel/module-lists';
import { moduleNameOf } from '@kstitch/kernel/module-name';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';

export interface KernelModule {
  /** As the running kernel calls it: `virtio_blk`. */
  readonly name: string;
  /** Decompressed. */
  readonly bytes: Uint8Array;
}

export interface WantedModules {
  /** Refused when the kernel has them neither built in nor as a module. */
  readonly required: readonly string[];
  /** Loaded where the kernel has them as modules: what others find at run time without depending on it. */
  readonly optional: readonly string[];
}

/** A disk, and a file system on it: modules in some flavours, built in in others. */
export const diskModules: WantedModules = {
  required: ['virtio_pci', 'virtio_blk', 'ext4'],
  // ext4 asks the crypto layer for crc32c by its name.
  optional: ['crc32c_generic'],
};

/**
 * Reads the modules' own dependencies instead of modules.dep: that one is made by depmod when a package is installed, and
 * the packages here are only unpacked.
 *
 * @param directory - `lib/modules/RELEASE` of the unpacked image package
 * @returns the modules in the order of loading; those built into the kernel are left out
 * @throws KstitchError - `vm-module-unknown`, `host-file-failed`, `host-tool-missing`, `elf-*` of a module that cannot be read
 */
export async function readKernelModules(
  context: Context,
  directory: string,
  wanted: WantedModules,
): Promise<KernelModule[]> {
  const builtIn = new Set(await readNames(join(directory, 'modules.builtin')));
  const paths = new Map(
    (await readPaths(join(directory, 'modules.order'))).map(path => [moduleNameOf(path), path]),
  );

  // Follow the dependencies, reading no module that is not needed.
  const read = new Map<
    string,
    { readonly path: string; readonly modinfo: Modinfo; readonly bytes: Uint8Array }
  >();
  const visit = async (name: string, asker: string | undefined): Promise<void> => {
    if (builtIn.has(name) || read.has(name)) return;
    const path = paths.get(name);
    if (path === undefined) {
      const why = asker === undefined ? '' : `, which '${asker}' needs`;
      throw new KstitchError(
        'vm-module-unknown',
        `find kernel module '${name}'${why}: '${directory}' has it neither built in nor as a module`,
      );
    }
    const bytes = await readPerhapsCompressed(join(directory, path), context.signal);
    const modinfo = readModinfo(readElf(bytes, path));
    read.set(name, { path, modinfo, bytes });
    for (const need of modinfo.depends) await visit(need, name);
  };
  const asked = [
    ...wanted.required.map(moduleNameOf),
    ...wanted.optional.map(moduleNameOf).filter(name => paths.has(name)),
  ].filter(name => !builtIn.has(name));
  for (const name of asked) await visit(name, undefined);

  // Beyond this point every module that will be loaded is in memory.
  const dependencies = dependenciesFromModinfo(
    [...read.values()].map(({ path, modinfo }) => [path, modinfo] as const),
  );
  const loadable = new Map(
    [...dependencies].map(([name, module]) => [
      name,
      { ...module, needs: module.needs.filter(need => !builtIn.has(need)) },
    ]),
  );
  return modulesInLoadOrder(loadable, asked).flatMap(path => {
    const name = moduleNameOf(path);
    const found = read.get(name);
    return found === undefined ? [] : [{ name, bytes: found.bytes }];
  });
}

async function readPaths(list: string): Promise<string[]> {
  try {
    return parseModulePaths(await readFile(list, 'utf8'));
  } catch (error) {
    throw fileError(`read '${list}'`, error);
  }
}

async function readNames(list: string): Promise<string[]> {
  return (await readPaths(list)).map(moduleNameOf);
}
