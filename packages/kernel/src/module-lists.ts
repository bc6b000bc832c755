/**
 * The lists that come with a kernel's modules: modules.order and modules.builtin (paths, one a line; from kbuild) and
 * modules.dep (each module with all that it needs; written by depmod when a package is installed, so not in the package).
 */
import { KstitchError } from '@kstitch/report/error';
import type { Modinfo } from './modinfo.ts';
import { moduleNameOf } from './module-name.ts';

/** Modules by the name that the running kernel has for them. */
export type ModuleDependencies = ReadonlyMap<string, ModuleFile>;

export interface ModuleFile {
  /** Below `/lib/modules/RELEASE`: `kernel/drivers/block/virtio_blk.ko`. */
  readonly path: string;
  /** Names of modules that must be loaded before. */
  readonly needs: readonly string[];
}

/**
 * @param text - modules.order or modules.builtin
 * @returns the paths in the file's order; {@link moduleNameOf} gives the names
 */
export function parseModulePaths(text: string): string[] {
  return text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '');
}

/**
 * @param text - modules.dep
 * @throws KstitchError - `kernel-text-file`, with the line's number
 */
export function parseModulesDep(text: string): ModuleDependencies {
  const modules = new Map<string, ModuleFile>();
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const colon = line.indexOf(':');
    if (colon <= 0) {
      throw new KstitchError(
        'kernel-text-file',
        `cannot read modules.dep line ${index + 1}: '${line.slice(0, 80)}' has no 'PATH:'`,
      );
    }
    const path = line.slice(0, colon);
    const needs = line
      .slice(colon + 1)
      .split(' ')
      .filter(need => need !== '')
      .map(moduleNameOf);
    modules.set(moduleNameOf(path), { path, needs });
  }
  return modules;
}

/**
 * The same out of the modules themselves, for a package that is not installed.
 *
 * @param modules - path below `/lib/modules/RELEASE`, and what that module says of itself
 */
export function dependenciesFromModinfo(
  modules: Iterable<readonly [path: string, modinfo: Modinfo]>,
): ModuleDependencies {
  const found = new Map<string, ModuleFile>();
  for (const [path, modinfo] of modules) found.set(moduleNameOf(path), { path, needs: modinfo.depends });
  return found;
}

/**
 * @param names - modules to load, in any spelling (`virtio-blk`)
 * @returns the paths of these and of all they need, each once, every module after what it needs, else as asked for
 * @throws KstitchError - `kernel-module-unknown`, `kernel-module-cycle`
 */
export function modulesInLoadOrder(dependencies: ModuleDependencies, names: readonly string[]): string[] {
  // A set keeps the order in which modules were finished, which is the order of loading.
  const finished = new Set<string>();
  const visit = (name: string, path: readonly string[]): void => {
    if (finished.has(name)) return;
    const chain = [...path, name];
    if (path.includes(name)) {
      const shown = chain.slice(path.indexOf(name)).map(member => `'${member}'`);
      throw new KstitchError(
        'kernel-module-cycle',
        `cannot order modules for loading: ${shown.join(' needs ')}`,
      );
    }
    const module = dependencies.get(name);
    if (module === undefined) {
      const asker = path.at(-1);
      const why = asker === undefined ? '' : `, which '${asker}' needs`;
      throw new KstitchError(
        'kernel-module-unknown',
        `cannot order modules for loading: no module '${name}'${why}`,
      );
    }
    for (const need of module.needs) visit(need, chain);
    finished.add(name);
  };
  for (const name of names) visit(moduleNameOf(name), []);
  return [...finished].map(name => dependencies.get(name)?.path ?? name);
}
