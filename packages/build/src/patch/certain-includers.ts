/**
 * Which units include a file for sure, told from text alone. A header that half the kernel includes would keep the compiler busy
 * for minutes before `--max-units` stops the run: assembly and images of their own are compiled for it, too. So the units are
 * counted first that no configuration could keep from including it: a chain of lines outside of every `#if`, each of which can
 * mean one file only.
 */
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { CompileDatabase } from '../compile/compile-database.ts';
import type { UnitCommand } from '../compile/unit-command.ts';
import type { IncludeGraph } from './include-graph.ts';
import type { IncludeLine } from './include-lines.ts';
import { withoutDots } from './source-path.ts';
import { readUnconditionalIncludes } from './unconditional-includes.ts';

/**
 * @param tree - the kernel source
 * @param files - the changed ones
 * @param most - one unit more than this is enough to know
 * @returns C units, in no order
 */
export async function findCertainIncluders(
  tree: string,
  graph: IncludeGraph,
  database: CompileDatabase,
  files: Iterable<string>,
  most: number,
): Promise<readonly UnitCommand[]> {
  const units = new Map<string, UnitCommand>();
  const certain = new Set(files);
  const lines = new Map<string, readonly IncludeLine[]>();
  const read = async (path: string): Promise<void> => {
    if (lines.has(path)) return;
    // What is made later in a build cannot be told.
    const text = await readFile(join(tree, path), 'latin1').catch(() => '');
    lines.set(path, readUnconditionalIncludes(text));
  };
  // A set is walked in the order of its growth.
  for (const file of certain) {
    const candidates = graph.directIncludersOf(file).filter(path => !certain.has(path));
    await Promise.all(candidates.map(read));
    for (const path of candidates) {
      const isForced = database.forcedIncludes(path).includes(file);
      if (!isForced && !lines.get(path)?.some(line => means(graph, path, line, file))) continue;
      certain.add(path);
      for (const unit of database.unitsFrom(path)) if (unit.kind === 'c') units.set(unit.object, unit);
      if (units.size > most) return [...units.values()];
    }
  }
  return [...units.values()];
}

/**
 * The folders of all units in the order in which the compiler looks through them, before any that a unit has of its own: a name
 * that is there means that file (the kernel's Makefile: LINUXINCLUDE).
 */
const firstFolders = ['arch/x86/include', 'arch/x86/include/generated', 'include'];

/** @returns whether an include line of `from` can mean `file` and nothing else */
function means(graph: IncludeGraph, from: string, { name, quoted }: IncludeLine, file: string): boolean {
  if (basename(name) !== basename(file)) return false;
  if (quoted && withoutDots(`${dirname(from)}/${name}`) === file) return true;
  const tail = withoutDots(name).replace(/^(?:\.\.\/)+/, '');
  const candidates = graph.includedBy(from).filter(path => path === tail || path.endsWith(`/${tail}`));
  const first = firstFolders.map(folder => `${folder}/${tail}`).find(path => candidates.includes(path));
  return first === undefined ? candidates.length === 1 && candidates[0] === file : first === file;
}
