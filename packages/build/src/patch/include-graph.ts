/**
 * Which files may include which, found by reading text: the first half of finding the units that a changed header affects.
 *
 * A flavour has 4,800 units, and asking the compiler for the dependencies of each would take a quarter of an hour. So names are
 * resolved without knowing where the compiler would look: a quoted name that exists beside the file is that file; any other
 * stands for every file of the tree whose path ends in it. That finds too many units and never too few; the compiler is
 * then asked about those alone.
 */
import { basename, dirname } from 'node:path';
import type { IncludeLine } from './include-lines.ts';
import { withoutDots } from './source-path.ts';

/** Resolves what an `#include` names. */
export class IncludeNames {
  readonly #paths: ReadonlySet<string>;
  readonly #byBase: ReadonlyMap<string, readonly string[]>;

  /** @param paths - every file that could be included, below the kernel source */
  constructor(paths: Iterable<string>) {
    this.#paths = new Set(paths);
    this.#byBase = Map.groupBy(this.#paths, path => basename(path));
  }

  /**
   * @param from - the including file
   * @returns every file that the line may mean
   */
  resolve(from: string, { name, quoted }: IncludeLine): readonly string[] {
    if (quoted) {
      const beside = withoutDots(`${dirname(from)}/${name}`);
      if (this.#paths.has(beside)) return [beside];
    }
    const tail = withoutDots(name).replace(/^(?:\.\.\/)+/, '');
    const candidates = (this.#byBase.get(basename(tail)) ?? []).filter(
      path => path === tail || path.endsWith(`/${tail}`),
    );
    // The kernel proper does not see the headers that its tools bring for themselves.
    const proper = isOfTools(from) ? candidates : candidates.filter(path => !isOfTools(path));
    return proper.length > 0 ? proper : candidates;
  }
}

function isOfTools(path: string): boolean {
  return path.startsWith('tools/') || path.startsWith('scripts/');
}

/** The files that the units of a flavour may be made of. */
export class IncludeGraph {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #paths: readonly string[];
  readonly #includes: readonly (readonly number[])[];
  readonly #includers: readonly (readonly number[])[];

  /**
   * @param paths - files, in any order
   * @param includes - of each, the positions of the files that it may include
   */
  constructor(paths: readonly string[], includes: readonly (readonly number[])[]) {
    this.#paths = paths;
    this.#includes = includes;
    this.#ids = new Map(paths.map((path, id) => [path, id]));
    const includers: number[][] = paths.map(() => []);
    for (const [from, list] of includes.entries()) for (const to of list) includers[to]?.push(from);
    this.#includers = includers;
  }

  /** @returns the files that may include this one themselves */
  directIncludersOf(path: string): readonly string[] {
    const id = this.#ids.get(path);
    return id === undefined ? [] : (this.#includers[id] ?? []).map(other => this.#paths[other] ?? '');
  }

  /** @returns the files that this one may include itself */
  includedBy(path: string): readonly string[] {
    const id = this.#ids.get(path);
    return id === undefined ? [] : (this.#includes[id] ?? []).map(other => this.#paths[other] ?? '');
  }

  /** @returns every file that may come to include this one, by way of others or not; not the file itself */
  includersOf(path: string): readonly string[] {
    const start = this.#ids.get(path);
    if (start === undefined) return [];
    const seen = new Set([start]);
    // A set is walked in the order of its growth.
    for (const id of seen) for (const includer of this.#includers[id] ?? []) seen.add(includer);
    return [...seen].slice(1).map(id => this.#paths[id] ?? '');
  }
}
