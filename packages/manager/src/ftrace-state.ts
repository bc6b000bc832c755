/** What ftrace can reach and who uses it: `available_filter_functions`, `enabled_functions` (kernel/trace/ftrace.c: t_show()). */
import { KstitchError } from '@kstitch/report/error';
import { readAliases } from './aliases.ts';
import { type FunctionName, keyOf } from './function-name.ts';
import { limits } from './limits.ts';
import type { Machine } from './machine.ts';

export interface TracedFunction extends FunctionName {
  /** Somebody leads calls of it elsewhere (flag `I`): livepatch, or a kprobe with a post_handler. Only one can. */
  readonly redirected: boolean;
  /** A direct caller (flag `D`): a BPF program. */
  readonly direct: boolean;
  /** Functions of the kernel that are called; none when several are, by way of a common one. */
  readonly handlers: readonly string[];
}

export const livepatchHandler = 'klp_ftrace_handler';

const folders = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];

/** @returns where tracefs is mounted, undefined when it is nowhere, or not for our eyes */
export function tracefsFolder(machine: Machine): string | undefined {
  return folders.find(folder => {
    try {
      return machine.list(folder)?.includes('enabled_functions') === true;
    } catch (error) {
      if (error instanceof KstitchError && error.code === 'machine-not-root') return false;
      throw error;
    }
  });
}

/**
 * @returns those of `wanted` that ftrace knows, by the {@link keyOf} of the name that it knows them by
 */
export function findTraceable<T extends FunctionName & { readonly sympos: number }>(
  machine: Machine,
  folder: string,
  wanted: readonly T[],
): ReadonlyMap<string, T> {
  const found = findListed(machine, folder, new Map(wanted.map(id => [keyOf(id), id])));
  const missing = wanted.filter(id => !found.has(keyOf(id)));
  const others = readAliases(machine, missing).flatMap((ids = [], index) =>
    ids.flatMap((id): [string, T][] => {
      const owner = missing[index];
      return owner === undefined ? [] : [[keyOf(id), owner]];
    }),
  );
  return new Map([...found, ...findListed(machine, folder, new Map(others))]);
}

function findListed<T>(machine: Machine, folder: string, wanted: ReadonlyMap<string, T>): Map<string, T> {
  const missing = new Map(wanted);
  const found = new Map<string, T>();
  if (missing.size === 0) return found;
  for (const line of machine.lines(`${folder}/available_filter_functions`, limits.functions)) {
    const key = keyOf(parseName(line));
    const id = missing.get(key);
    if (id === undefined) continue;
    found.set(key, id);
    missing.delete(key);
    if (missing.size === 0) break;
  }
  return found;
}

/** @returns every function that somebody traces */
export function readTracedFunctions(machine: Machine, folder: string): TracedFunction[] {
  const functions: TracedFunction[] = [];
  for (const line of machine.lines(`${folder}/enabled_functions`, limits.functions)) {
    // pipe_read (1)   I  \ttramp: 0xffffffffc05f2000 (klp_ftrace_handler+0x0/0x110) ->klp_ftrace_handler+0x0/0x110
    const match = /^(\S+(?: \[\S+\])?) \(\d+\)([^\t]*)(.*)$/.exec(line);
    if (match === null) continue;
    const [, name = '', flags = '', rest = ''] = match;
    functions.push({
      ...parseName(name),
      redirected: flags.includes('I'),
      direct: flags.includes('D'),
      handlers: [
        ...new Set(Array.from(rest.matchAll(/([A-Za-z_][\w.]*)\+0x/g), ([, handler = '']) => handler)),
      ],
    });
  }
  return functions;
}

function parseName(text: string): FunctionName {
  const match = /^(\S+) \[(\S+)\]$/.exec(text);
  return { object: match?.[2] ?? 'vmlinux', name: match?.[1] ?? text };
}
