import { readdir } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { loadKernel } from '@kstitch/build/kernel/load-kernel';
import { openKit } from '@kstitch/build/kit/kit';
import type { Kallsyms } from '@kstitch/kernel/kallsyms';
import type { ImageFacts } from './kernel-result.ts';

/** Bytes of an entry in the tables counted here: a distance. */
const ENTRY = 4;

/** Reads out of a shipped kernel what differs between series and decides how a livepatch for it is made. */
export async function readImage(release: string): Promise<ImageFacts> {
  const kit = await openKit(release);
  const { kallsyms, entrySizes, world, modulePaths } = await loadKernel(kit);
  let padded = 0;
  const constants: string[] = [];
  for (const { name } of kallsyms) {
    if (name.startsWith('__pfx_')) padded += 1;
    const table = /^__start_(runtime_(?:ptr|shift)_\w+)$/.exec(name)?.[1];
    if (table !== undefined)
      constants.push(`${table} ${countEntries(kallsyms, `__start_${table}`, `__stop_${table}`)}`);
  }
  return {
    symbols: kallsyms.count,
    padded,
    sealed: countEntries(kallsyms, '__ibt_endbr_seal', '__ibt_endbr_seal_end'),
    constants: constants.toSorted(),
    altInstruction: entrySizes.altInstruction ?? 0,
    paravirt: entrySizes.paravirt !== undefined,
    moduleSize: world.layout.module.size,
    modules: modulePaths.size,
    moduleFiles: await endingOfModules(kit.paths.modulesDirectory, modulePaths),
  };
}

/** @returns how many entries stand between two symbols; 0 where the kernel has no such table */
function countEntries(kallsyms: Kallsyms, start: string, end: string): number {
  const [first] = kallsyms.named(start);
  const [last] = kallsyms.named(end);
  if (first === undefined || last === undefined) return 0;
  return Number(last.address - first.address) / ENTRY;
}

/** modules.order names all of them `.ko`, compressed or not; one flavour compresses all or none. */
async function endingOfModules(directory: string, paths: ReadonlyMap<string, string>): Promise<string> {
  const [first = ''] = paths.values();
  const names = await readdir(join(directory, dirname(first)));
  const file = names.find(name => name === basename(first) || name.startsWith(`${basename(first)}.`)) ?? '';
  return file.slice(basename(first, extname(first)).length);
}
