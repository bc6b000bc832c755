/** Whether a livepatch is in force: what sysfs says, and what ftrace itself shows for each function. */
import { KstitchError } from '@kstitch/report/error';
import { readAliases } from './aliases.ts';
import { livepatchHandler, readTracedFunctions, tracefsFolder } from './ftrace-state.ts';
import { type FunctionName, keyOf } from './function-name.ts';
import type { Machine } from './machine.ts';
import { type LoadedLivepatch, readLivepatches } from './read-livepatches.ts';

/**
 * `attested`: calls of the function go to livepatch. `shadowed`: they do, and a livepatch that was loaded later takes them.
 * `waiting`: its object is not loaded; it will be patched when it is. `sysfs only`: tracefs is not mounted or not for our eyes,
 * or the kernel hides under which of its names it knows the function, so that only its word for it is there. `not in force`:
 * ftrace does not lead calls of it to livepatch.
 */
export type FunctionState = 'attested' | 'shadowed' | 'waiting' | 'sysfs only' | 'not in force';

export interface Attestation {
  /** The worst that any function has; of a livepatch that only has callbacks, `attested`. */
  readonly verdict: FunctionState;
  readonly functions: readonly (FunctionName & { readonly sympos: number; readonly state: FunctionState })[];
}

/** The worst first. */
const order = [
  'not in force',
  'shadowed',
  'sysfs only',
  'waiting',
  'attested',
] as const satisfies FunctionState[];

/**
 * @param name - a livepatch that is active
 * @returns undefined when it is not
 */
export function attest(machine: Machine, name: string): Attestation | undefined {
  const livepatches = readLivepatches(machine);
  const at = livepatches.findIndex(livepatch => livepatch.name === name);
  const livepatch = livepatches[at];
  if (livepatch?.phase !== 'active') return undefined;
  const later = new Set(livepatches.slice(at + 1).flatMap(functionKeys));

  const traced = readRedirected(machine);
  const ids = livepatch.objects.flatMap(({ name: object, patched, functions }) =>
    functions.map(({ name: functionName, sympos }) => ({ object, name: functionName, sympos, patched })),
  );
  const unseen = ids.filter(id => id.patched && traced?.has(keyOf(id)) === false);
  const otherNames = readAliases(machine, unseen);
  const isTraced = (id: FunctionName) => traced?.has(keyOf(id)) === true;
  const lost = new Set(unseen.filter((_, index) => otherNames[index]?.some(isTraced) === false));
  const unknown = new Set(unseen.filter((_, index) => otherNames[index] === undefined));
  const functions = ids.map(id => {
    const { patched, ...place } = id;
    const judge = (): FunctionState => {
      if (!patched) return id.object === 'vmlinux' ? 'not in force' : 'waiting';
      if (lost.has(id)) return 'not in force';
      if (later.has(`${keyOf(id)},${id.sympos}`)) return 'shadowed';
      return traced === undefined || unknown.has(id) ? 'sysfs only' : 'attested';
    };
    return { ...place, state: judge() };
  });
  const verdict = order.find(state => functions.some(one => one.state === state)) ?? 'attested';
  return { verdict, functions };
}

/** @returns the functions whose calls livepatch takes; undefined where ftrace does not show it, or not to us */
function readRedirected(machine: Machine): ReadonlySet<string> | undefined {
  const folder = tracefsFolder(machine);
  if (folder === undefined) return undefined;
  try {
    return new Set(
      readTracedFunctions(machine, folder)
        // Several handlers are called by way of a common one; only one of them can redirect, and sysfs says whose.
        .filter(
          ({ redirected, handlers }) =>
            redirected && (handlers.includes(livepatchHandler) || handlers.length !== 1),
        )
        .map(keyOf),
    );
  } catch (error) {
    // Where the folder was opened to everybody: its files are root's all the same.
    if (error instanceof KstitchError && error.code === 'machine-not-root') return undefined;
    throw error;
  }
}

/** ftrace leads to the one that was registered last, also while tasks are still moved to it. */
function functionKeys({ phase, objects }: LoadedLivepatch): string[] {
  if (phase !== 'active' && phase !== 'enabling') return [];
  return objects.flatMap(object =>
    object.functions.map(({ name, sympos }) => `${keyOf({ object: object.name, name })},${sympos}`),
  );
}
