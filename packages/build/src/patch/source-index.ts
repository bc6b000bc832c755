import { readFile } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fileError } from '@kstitch/host/files';
import { interruptedError } from '@kstitch/host/run';
import type { Context } from '@kstitch/report/context';
import type { CompileDatabase } from '../compile/compile-database.ts';
import type { KernelTree } from '../compile/kernel-tree.ts';
import { keptIndex } from '../kept-index.ts';
import { IncludeGraph, IncludeNames } from './include-graph.ts';
import { readIncludes } from './include-lines.ts';
import { isKbuildRecord, type KbuildRecord, readKbuildRecord } from './kbuild-records.ts';
import { readWeakNames } from './weak-names.ts';

/** What of a kernel's source is made from what. */
export interface SourceIndex {
  readonly graph: IncludeGraph;
  readonly records: readonly KbuildRecord[];
  /** Names that some source has a weak definition or declaration of, whatever the configuration. */
  readonly weakNames: ReadonlySet<string>;
}

/** Raised when what is read out of the source changes. */
const indexSchema = 3;

/** The index as it stands in the cache. */
interface StoredIndex {
  readonly paths: readonly string[];
  /** Of each path, the positions of the files it may include. */
  readonly includes: readonly (readonly number[])[];
  readonly records: readonly KbuildRecord[];
  readonly weakNames: readonly string[];
}

/**
 * Reads the include lines and weak names of all units of a flavour and of everything they may include, once: a kit never changes,
 * so the result is kept in the cache (2 MB for a cloud flavour; 10,000 files are read for it).
 *
 * @throws KstitchError - `host-file-failed`, `host-disk-full`, `interrupted`
 */
export async function openSourceIndex(
  context: Context,
  kit: KernelTree,
  database: CompileDatabase,
): Promise<SourceIndex> {
  const inputs = [indexSchema, kit.release, kit.packageVersion, kit.paths.tree];
  const stored = await keptIndex('source-index', inputs, isStored, () =>
    context.progress.step('read what the source includes', async update =>
      scanSource(context, kit, database, update),
    ),
  );
  return {
    graph: new IncludeGraph(stored.paths, stored.includes),
    records: stored.records,
    weakNames: new Set(stored.weakNames),
  };
}

function isStored(value: unknown): value is StoredIndex {
  if (typeof value !== 'object' || value === null) return false;
  if (!('paths' in value && 'includes' in value && 'records' in value && 'weakNames' in value)) return false;
  const { paths, includes, records, weakNames } = value;
  return (
    isListOf(paths, path => typeof path === 'string') &&
    isListOf(includes, list => isListOf(list, id => Number.isInteger(id))) &&
    isListOf(records, isRecord) &&
    isListOf(weakNames, name => typeof name === 'string') &&
    includes.length === paths.length
  );
}

function isRecord(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const isText = (text: unknown) => typeof text === 'string';
  return (
    'target' in value &&
    isText(value.target) &&
    'command' in value &&
    isListOf(value.command, isText) &&
    'inputs' in value &&
    isListOf(value.inputs, isText)
  );
}

function isListOf(value: unknown, isItem: (item: unknown) => boolean): value is readonly unknown[] {
  return Array.isArray(value) && value.every(item => isItem(item));
}

async function scanSource(
  context: Context,
  kit: KernelTree,
  database: CompileDatabase,
  update: (detail: string) => void,
): Promise<StoredIndex> {
  const { tree } = kit.paths;
  const files = await listFiles(tree);
  const names = new IncludeNames(files.sources);
  const paths = [...database.sources];
  const ids = new Map(paths.map((path, id) => [path, id]));
  const idOf = (path: string): number => {
    const known = ids.get(path);
    if (known !== undefined) return known;
    ids.set(path, paths.length);
    return paths.push(path) - 1;
  };
  const includes: number[][] = [];
  const weakNames = new Set<string>();
  // The list grows while it is walked: what is included is read in its turn.
  while (includes.length < paths.length) {
    if (context.signal.aborted) throw interruptedError('read what the source includes');
    const wave = paths.slice(includes.length, includes.length + readAtOnce);
    const found = await Promise.all(
      wave.map(async path => {
        // What is named and not there is made later in a build, from files that are in the index themselves.
        const text = await readText(join(tree, path));
        for (const name of readWeakNames(text)) weakNames.add(name);
        const included = readIncludes(text).flatMap(line => names.resolve(path, line));
        return [...new Set([...included, ...database.forcedIncludes(path)])];
      }),
    );
    for (const list of found) includes.push(list.map(idOf));
    update(`${includes.length} files`);
  }
  const records: KbuildRecord[] = [];
  for (const path of files.records) {
    const record = readKbuildRecord(await readText(join(tree, path)));
    if (record !== undefined) records.push(record);
  }
  return { paths, includes, records, weakNames: [...weakNames].toSorted() };
}

/** For 10,000 files the way through a FileHandle, which `node:fs/promises` takes, costs twice the processor time. */
const readWhole = promisify(readFile);

/** @returns what the file holds; nothing where it cannot be read */
async function readText(path: string): Promise<string> {
  return readWhole(path, 'latin1').catch(() => '');
}

/** Files read side by side: enough to keep a disk busy, few enough to hold in memory. */
const readAtOnce = 64;

/** Folders without anything that a kernel of this architecture includes. */
const skippedFolders = new Set([
  'Documentation',
  'LICENSES',
  'samples',
  'debian',
  'tools/testing',
  'tools/perf',
]);

/** Every file of the tree that may be included, and kbuild's records. */
async function listFiles(
  tree: string,
): Promise<{ readonly sources: readonly string[]; readonly records: readonly string[] }> {
  const sources: string[] = [];
  const records: string[] = [];
  const folders = [''];
  for (const folder of folders) {
    const entries = await readdir(join(tree, folder), { withFileTypes: true }).catch((error: unknown) => {
      throw fileError(`read '${join(tree, folder)}'`, error);
    });
    for (const entry of entries) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        const foreign = folder === 'arch' && entry.name !== 'x86';
        if (!foreign && !entry.name.startsWith('.') && !skippedFolders.has(path)) folders.push(path);
      } else if (isKbuildRecord(entry.name)) records.push(path);
      else if (!entry.name.startsWith('.')) sources.push(path);
    }
  }
  return { sources, records: records.toSorted() };
}
