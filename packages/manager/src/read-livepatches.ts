/**
 * The livepatches of the running kernel and what each is doing, from sysfs (Documentation/ABI/testing/sysfs-kernel-livepatch)
 * and the list of modules.
 *
 * | enabled | transition | module's users | phase |
 * |---|---|---|---|
 * | 1 | 1 | | enabling, also when a disabling was reversed |
 * | 1 | 0 | | active |
 * | 0 | | | disabling, also when an enabling was reversed |
 * | gone | | 0 | disabled: replaced, disabled, or reversed; its module may be removed |
 * | gone | | 1 | held: the kernel is about to let go of it, or was forced and never will |
 */
import { KstitchError } from '@kstitch/report/error';
import { limits } from './limits.ts';
import type { Machine } from './machine.ts';

export type Phase = 'enabling' | 'active' | 'disabling' | 'disabled' | 'held';

export interface LoadedLivepatch {
  /** Of the livepatch and of its module. */
  readonly name: string;
  readonly phase: Phase;
  /** None once it is disabled: the kernel forgets them. */
  readonly objects: readonly LoadedObject[];
  /** Whether it replaces others; kernels before 6.11 do not say. */
  readonly replace: boolean | undefined;
}

export interface LoadedObject {
  /** `vmlinux` or a module's name. */
  readonly name: string;
  /** Whether it is loaded and the livepatch is in it. */
  readonly patched: boolean;
  /**
   * During the transition of a livepatch that replaces others, also those functions of the others that it has not: the kernel
   * leads them back to the original (kernel/livepatch/core.c: klp_add_object_nops()).
   */
  readonly functions: readonly LoadedFunction[];
}

export interface LoadedFunction {
  readonly name: string;
  /** From 1; the first of that name, and the only one, is 1. */
  readonly sympos: number;
}

export const livepatchFolder = '/sys/kernel/livepatch';

/** @returns in the order of loading, as far as their modules tell it */
export function readLivepatches(machine: Machine): LoadedLivepatch[] {
  const modules = readModules(machine);
  const listed = machine.folders(livepatchFolder).flatMap(name => {
    const found = readActive(machine, name);
    return found === undefined ? [] : [found];
  });
  const names = new Set(listed.map(({ name }) => name));
  const unlisted = modules
    .filter(({ name, taints }) => taints.includes('K') && !names.has(name))
    .map(
      ({ name, users }): LoadedLivepatch => ({
        name,
        phase: users === 0 ? 'disabled' : 'held',
        objects: [],
        replace: undefined,
      }),
    );
  // The kernel puts a new module at the head of its list.
  const age = new Map(modules.map(({ name }, index) => [name, modules.length - index]));
  return [...listed, ...unlisted].toSorted((a, b) => (age.get(a.name) ?? 0) - (age.get(b.name) ?? 0));
}

/** @returns undefined when it is not loaded */
export function readLivepatch(machine: Machine, name: string): LoadedLivepatch | undefined {
  return readLivepatches(machine).find(livepatch => livepatch.name === name);
}

/** As {@link readLivepatch}, and quicker: only whether it is listed, and which way it goes. */
export function readPhase(machine: Machine, name: string): Phase | undefined {
  const enabled = machine.read(`${livepatchFolder}/${name}/enabled`);
  const transition = machine.read(`${livepatchFolder}/${name}/transition`);
  if (enabled === undefined || transition === undefined) return undefined;
  if (enabled === '0') return 'disabling';
  return transition === '1' ? 'enabling' : 'active';
}

/** As {@link readPhase}, and quicker still: whether tasks are on their way, whichever way. */
export function isInTransition(machine: Machine, name: string): boolean {
  return machine.read(`${livepatchFolder}/${name}/transition`) === '1';
}

/** @returns what the kernel has against it, or that the file is gone */
export function writeIfAllowed(machine: Machine, path: string, value: string): string | undefined {
  try {
    machine.write(path, value);
    return undefined;
  } catch (error) {
    if (!(error instanceof KstitchError)) throw error;
    return error.message;
  }
}

function readActive(machine: Machine, name: string): LoadedLivepatch | undefined {
  const phase = readPhase(machine, name);
  if (phase === undefined) return undefined;
  const folder = `${livepatchFolder}/${name}`;
  const replace = machine.read(`${folder}/replace`);
  const objects = machine.folders(folder).map(object => ({
    name: object,
    patched: machine.read(`${folder}/${object}/patched`) === '1',
    functions: machine.folders(`${folder}/${object}`).map(parseFunction),
  }));
  return { name, phase, objects, replace: replace === undefined ? undefined : replace === '1' };
}

/** `pipe_read,1` */
function parseFunction(folder: string): LoadedFunction {
  const at = folder.lastIndexOf(',');
  return { name: folder.slice(0, at), sympos: Number(folder.slice(at + 1)) };
}

export interface LoadedModule {
  readonly name: string;
  /** Modules and livepatch's own hold on it. */
  readonly users: number;
  /** Of the modules among them. */
  readonly usedBy: readonly string[];
  /** Letters: `OEK`. */
  readonly taints: string;
}

export function isModuleLoaded(machine: Machine, name: string): boolean {
  return readModules(machine).some(module => module.name === name);
}

/** @returns the newest first, as the kernel lists them */
export function readModules(machine: Machine): LoadedModule[] {
  // kstitch_x 16384 1 - Live 0xffffffffc05ed000 (OEK)
  return Array.from(machine.lines('/proc/modules', limits.modules), line => {
    const [name = '', , users = '0', usedBy = ''] = line.split(' ');
    return {
      name,
      users: Number(users),
      usedBy: usedBy.match(/[^,-]+/g) ?? [],
      taints: /\(([A-Z]*)[+-]?\)$/.exec(line)?.[1] ?? '',
    };
  });
}
