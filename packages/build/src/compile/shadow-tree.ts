import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileError } from '@kstitch/host/files';
import type { KernelTree } from './kernel-tree.ts';

export interface ShadowFile {
  readonly path: string;
  /** One character a byte; undefined leaves the file out. */
  readonly text: string | undefined;
}

/**
 * Makes a folder that looks like the kit's tree, but for some files: real folders only where something differs, everything
 * else is a symbolic link into the tree, so that it costs milliseconds and the tree stays as it is.
 *
 * gcc looks for `#include "x.h"` beside the including file *as it was named*, without following links, so a changed file is
 * found by its neighbours and the other way round. A name with `..` in it is different: the kernel follows the link first and
 * goes up from where that leads, so `#include "../x.h"` in a linked folder would find the unchanged file. Folders on the way of
 * such names, and those of files with such names in them, are made real, too.
 *
 * @param directory - an empty folder
 * @param files - what differs
 * @param passed - files whose folders have to be real: `arch/x86/kvm/../../../virt/kvm/kvm_main.c`
 */
export async function makeShadowTree(
  kit: KernelTree,
  directory: string,
  files: readonly ShadowFile[],
  passed: readonly string[] = [],
): Promise<void> {
  const real = new Set(['']);
  for (const { path } of files) addFolders(real, path);
  for (const path of passed) addFolders(real, path);
  const replaced = new Set(files.map(file => file.path));

  try {
    // Shorter paths first, so that a folder is there before what lies in it.
    for (const folder of [...real].toSorted((a, b) => a.length - b.length)) {
      if (folder !== '') await mkdir(join(directory, folder));
      const names = await entriesOf(join(kit.paths.tree, folder));
      const linked = names
        .map(name => (folder === '' ? name : `${folder}/${name}`))
        .filter(path => !real.has(path) && !replaced.has(path));
      await Promise.all(linked.map(path => symlink(join(kit.paths.tree, path), join(directory, path))));
    }
    for (const { path, text } of files) {
      if (text !== undefined) await writeFile(join(directory, path), text, 'latin1');
    }
  } catch (error) {
    throw fileError(`lay out the patched source in '${directory}'`, error);
  }
}

/** Adds every folder that the system passes through on its way along `path`. */
function addFolders(real: Set<string>, path: string): void {
  const at: string[] = [];
  for (const part of dirname(path).split('/')) {
    if (part === '..') at.pop();
    else if (part !== '.' && part !== '') at.push(part);
    for (let depth = 1; depth <= at.length; depth++) real.add(at.slice(0, depth).join('/'));
  }
}

/** @returns nothing for a folder that the tree does not have: the patch adds it */
async function entriesOf(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
