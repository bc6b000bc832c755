import { readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type ExportTypes, parseExportTypes } from '@kstitch/diff/layout/compare-exports';
import type { ElfFile } from '@kstitch/elf/model';
import { fileError } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import type { KernelTree } from './kernel-tree.ts';
import type { UnitCommand } from './unit-command.ts';

/** Bytes of a unit as preprocessed text, at most. */
const maxText = 256 * 1024 * 1024;

/** @returns whether the unit exports a symbol (include/linux/export.h) */
export function exportsSomething({ sections }: ElfFile): boolean {
  return sections.some(({ name }) => name.startsWith('___ksymtab'));
}

/**
 * Asks the kernel's own genksyms, as kbuild does for CONFIG_MODVERSIONS (scripts/Makefile.build: cmd_gensymtypes_c).
 *
 * @param cwd - the kit's tree or a patched one
 * @param dump - an absolute path that can be written to and is gone afterwards
 * @returns undefined where the unit does not come that far, or its kernel has no genksyms
 */
export async function readExportTypes(
  context: Context,
  kit: KernelTree,
  unit: UnitCommand,
  cwd: string,
  dump: string,
): Promise<ExportTypes | undefined> {
  const options = { cwd, signal: context.signal, maxOutput: maxText, allowStatus: [1, 2, 3, 4] };
  const args = [...unit.args, '-E', '-D__GENKSYMS__', unit.spelling];
  const text = await kit.workshop.run(unit.compiler, args, options);
  if (text.status !== 0) return undefined;
  const genksyms = join(kit.paths.tree, 'scripts/genksyms/genksyms');
  const found = await kit.workshop.run(genksyms, ['-T', dump, '-r', '/dev/null'], {
    ...options,
    input: text.stdout,
  });
  if (found.status !== 0) return undefined;
  const lines = await readFile(dump, 'utf8').catch((error: unknown) => {
    throw fileError(`read '${dump}'`, error);
  });
  await unlink(dump);
  return parseExportTypes(found.stdout, lines, text.stdout);
}
