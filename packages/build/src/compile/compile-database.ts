import { readFile } from 'node:fs/promises';
import { fileError } from '@kstitch/host/files';
import { KstitchError } from '@kstitch/report/error';
import { withoutDots } from '../patch/source-path.ts';
import type { KernelTree } from './kernel-tree.ts';
import { outsideKernel, parseUnitCommand, type UnitCommand } from './unit-command.ts';

/** A unit that kbuild compiles for something other than vmlinux or a module. */
export interface ForeignUnit {
  readonly unit: UnitCommand;
  /** What it becomes part of: `the vDSO`. */
  readonly partOf: string;
}

/**
 * Which units a flavour is built from, and how: kbuild's own words, recorded when the kit was made (`paths.units`).
 *
 * The record of a cloud flavour has 4,800 lines, 9.5 MB. Finding the source of each takes 30 ms; splitting all commands into
 * words would take ten times that, so a command is split when somebody asks for it.
 */
export class CompileDatabase {
  readonly #lines: ReadonlyMap<string, readonly string[]>;

  /** @param lines - lines of the record, `OBJECT<tab>MODULES<tab>COMMAND`, by source */
  constructor(lines: ReadonlyMap<string, readonly string[]>) {
    this.#lines = lines;
  }

  /**
   * @param source - `fs/ext4/mballoc.c`
   * @returns the unit of kernel code that is compiled from it; the first by object when there are several
   */
  unit(source: string): UnitCommand | undefined {
    return this.unitsFrom(source)[0];
  }

  /** @returns every unit of kernel code that is compiled from a source */
  unitsFrom(source: string): readonly UnitCommand[] {
    return this.#parse(source).filter(unit => outsideKernel(unit) === undefined);
  }

  /** @returns the units compiled from a source that do not become kernel code */
  foreignUnitsFrom(source: string): readonly ForeignUnit[] {
    return this.#parse(source).flatMap(unit => {
      const partOf = outsideKernel(unit);
      return partOf === undefined ? [] : [{ unit, partOf }];
    });
  }

  /** @returns whether any unit, kernel code or not, is compiled from a source */
  has(source: string): boolean {
    return this.#lines.has(source);
  }

  /** The sources of all units, kernel code or not, in order. */
  get sources(): readonly string[] {
    return [...this.#lines.keys()];
  }

  /** @returns all units of kernel code; takes a third of a second */
  units(): UnitCommand[] {
    return this.sources.flatMap(source => this.unitsFrom(source));
  }

  /** @returns the files that the commands of a source have read before it (`-include`) */
  forcedIncludes(source: string): readonly string[] {
    const found = (this.#lines.get(source) ?? []).flatMap(line =>
      Array.from(line.matchAll(/ -include (\S+)/g), ([, path = '']) => withoutDots(path)),
    );
    return [...new Set(found)];
  }

  #parse(source: string): readonly UnitCommand[] {
    return (this.#lines.get(source) ?? []).map(line => {
      const [object = '', modules = '', command = ''] = line.split('\t');
      return parseUnitCommand({ object, modules: modules.split(' ').filter(name => name !== ''), command });
    });
  }
}

/**
 * @throws KstitchError - `host-file-failed`, `compile-database-damaged` when it is empty; what is wrong with a single command shows when that is asked for
 */
export async function loadCompileDatabase(kit: KernelTree): Promise<CompileDatabase> {
  const text = await readFile(kit.paths.units, 'latin1').catch((error: unknown) => {
    throw fileError(`read '${kit.paths.units}'`, error);
  });
  const database = indexCompileDatabase(text);
  if (database.sources.length === 0) {
    throw new KstitchError('compile-database-damaged', `read '${kit.paths.units}': it names no units`);
  }
  return database;
}

/** @param text - lines `OBJECT<tab>MODULES<tab>COMMAND`, the source being the last word of the command */
export function indexCompileDatabase(text: string): CompileDatabase {
  const lines = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    if (line.split('\t', 3).length < 3) continue;
    const source = withoutDots(line.slice(line.lastIndexOf(' ') + 1));
    const same = lines.get(source);
    if (same === undefined) lines.set(source, [line]);
    else same.push(line);
  }
  return new CompileDatabase(lines);
}
