import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Results as they come, one line of JSON each, so that a run that is killed goes on where it was: at worst its last line is
 * half written and counts for nothing.
 */
export class ResultStore<T extends object> {
  readonly #path: string;
  readonly #results = new Map<string, T>();
  readonly #keyOf: (result: T) => string;

  private constructor(path: string, keyOf: (result: T) => string) {
    this.#path = path;
    this.#keyOf = keyOf;
  }

  /** @param keyOf - of two results with one key the later counts */
  static async open<T extends object>(path: string, keyOf: (result: T) => string): Promise<ResultStore<T>> {
    const store = new ResultStore<T>(path, keyOf);
    const text = await readFile(path, 'utf8').catch(() => '');
    for (const line of text.split('\n')) {
      const result = parseLine(line) as T | undefined;
      if (result !== undefined) store.#keep(result);
    }
    // What follows a half-written line must not become part of it.
    if (text !== '' && !text.endsWith('\n')) await appendFile(path, '\n');
    return store;
  }

  get(key: string): T | undefined {
    return this.#results.get(key);
  }

  /** @returns of the results whose keys begin like that the one that came last */
  newest(begin: string): T | undefined {
    const key = [...this.#results.keys()].findLast(each => each.startsWith(begin));
    return key === undefined ? undefined : this.#results.get(key);
  }

  #keep(result: T): void {
    const key = this.#keyOf(result);
    // A map keeps the place of a key that it has.
    this.#results.delete(key);
    this.#results.set(key, result);
  }

  async add(result: T): Promise<void> {
    this.#keep(result);
    await appendFile(this.#path, `${JSON.stringify(result)}\n`);
  }
}

/** The file is our own; only its last line can be damaged. */
function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

const root = fileURLToPath(new URL('..', import.meta.url));

/** Packages that have no part in what a build says. */
const apart = /^packages\/(?:cli|manager|review|testkit|vm)\//;

/**
 * @param judges - patterns of further files that judge
 * @returns a hash of the sources that decide about results: those of the stages, and of the comparison here
 */
export function hashOfSources(judges: readonly string[] = []): string {
  const hash = createHash('sha256');
  const files = globSync(['packages/*/src/**/*.{ts,c,h}', 'corpus/*.ts'], { cwd: root }).toSorted();
  const own = files.filter(file => !apart.test(file) && !file.endsWith('.test.ts') && decides(file));
  for (const file of [...own, ...globSync([...judges], { cwd: root }).toSorted()]) {
    hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  }
  return hash.digest('hex').slice(0, 16);
}

/**
 * @param patterns - of files below the top of the repository
 * @returns a hash of their contents
 */
export function hashOfFiles(patterns: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of globSync([...patterns], { cwd: root }).toSorted()) {
    if (!file.endsWith('.test.ts')) hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  }
  return hash.digest('hex').slice(0, 16);
}

/** Of the corpus itself only what judges. */
function decides(file: string): boolean {
  return !file.startsWith('corpus/') || /\/(?:classify|second-opinion|object-text)\.ts$/.test(file);
}
