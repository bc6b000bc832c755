/** Why a transition does not end: who is in its way, in which function, and what will move them. */
import { readAliases } from './aliases.ts';
import type { Machine } from './machine.ts';
import { type LoadedLivepatch, readLivepatches } from './read-livepatches.ts';
import { type Frame, type PatchState, patchState, readStack, readTasksBehind, type Task } from './tasks.ts';

export interface Blocker extends Task {
  /** The function that keeps it: the old one while the livepatch is being enabled, the new one while it is being disabled. */
  readonly function: string | undefined;
  /** Innermost first. */
  readonly stack: readonly string[];
  /** One sentence. */
  readonly moves: string;
}

export interface Explanation {
  readonly livepatch: string;
  readonly phase: 'enabling' | 'disabling';
  readonly blockers: readonly Blocker[];
}

/**
 * @returns undefined when no transition is going on; no blockers when only a processor that idles is left, whose task is not
 *   in /proc
 * @throws KstitchError - `machine-not-root`
 */
export function explainTransition(machine: Machine): Explanation | undefined {
  // The kernel knows one transition at a time.
  const livepatch = readLivepatches(machine).find(isInTransition);
  if (livepatch === undefined) return undefined;
  const { name, phase } = livepatch;
  const blockers = readTasksBehind(machine, targetOf(phase)).map(task => {
    const stack = readStack(machine, task);
    const frame =
      stack.find(one => isAffected(one, livepatch, ownNames(livepatch))) ??
      (stack.length > 0 && phase === 'enabling'
        ? stack.find(one => isAffected(one, livepatch, otherNames(machine, livepatch)))
        : undefined);
    return {
      ...task,
      function: frame?.symbol,
      stack: stack.map(({ text }) => text),
      moves: whatMoves(task, frame),
    };
  });
  return { livepatch: name, phase, blockers };
}

/** @returns the state that every task has at the end */
export function targetOf(phase: 'enabling' | 'disabling'): PatchState {
  return phase === 'enabling' ? patchState.patched : patchState.unpatched;
}

function isInTransition(
  livepatch: LoadedLivepatch,
): livepatch is LoadedLivepatch & { phase: 'enabling' | 'disabling' } {
  return livepatch.phase === 'enabling' || livepatch.phase === 'disabling';
}

/**
 * The kernel looks for the code that the transition leads away from (kernel/livepatch/transition.c: klp_check_stack_func()):
 * the livepatch's own when it is disabled; when it is enabled, that of the kernel or of an earlier livepatch.
 */
function isAffected(frame: Frame, { name, phase }: LoadedLivepatch, functions: ReadonlySet<string>): boolean {
  return phase === 'disabling' ? frame.module === name : frame.module !== name && functions.has(frame.symbol);
}

function ownNames({ objects }: LoadedLivepatch): ReadonlySet<string> {
  return new Set(objects.flatMap(({ functions }) => functions.map(({ name }) => name)));
}

/** Read once of a livepatch: who watches a transition looks every second, and /proc/kallsyms is long. */
const otherNamesOf = new WeakMap<Machine, Map<string, ReadonlySet<string>>>();

/** @returns those that a stack may have for the functions: the kernel shows one of several names */
function otherNames(machine: Machine, { name, objects }: LoadedLivepatch): ReadonlySet<string> {
  const known = otherNamesOf.get(machine) ?? new Map<string, ReadonlySet<string>>();
  otherNamesOf.set(machine, known);
  let names = known.get(name);
  if (names === undefined) {
    const ids = objects.flatMap(({ name: object, functions }) => functions.map(one => ({ ...one, object })));
    names = new Set(readAliases(machine, ids).flatMap((aliases = []) => aliases.map(alias => alias.name)));
    known.set(name, names);
  }
  return names;
}

function whatMoves(task: Task, frame: Frame | undefined): string {
  const where = frame === undefined ? undefined : `${frame.symbol}()`;
  if (task.kernelThread) {
    return where === undefined
      ? 'a kernel thread that runs, or whose stack the kernel cannot read for certain: it moves when it sleeps outside of the patched functions'
      : `a kernel thread that sleeps in ${where}: it moves when it leaves that function, and never if it works in a loop there`;
  }
  switch (task.state) {
    case 'D':
      return `it waits for the kernel${where === undefined ? '' : ` in ${where}`} and cannot be woken: it moves when what it waits for happens`;
    case 'T':
    case 't':
      return 'it is stopped: it moves when it is continued (SIGCONT, or the debugger lets it go)';
    case 'R':
      return 'it runs: it moves when it next enters or leaves the kernel';
    default:
      return where === undefined
        ? 'it sleeps: it moves when it returns to user space; the kernel wakes it 15 s after the transition began'
        : `it sleeps in ${where}: it moves when that call ends; the kernel interrupts the call 15 s after the transition began`;
  }
}

/** @returns `cat (process 104) in pipe_read()` */
export function nameBlocker({ comm, pid, tid, kernelThread, function: name }: Blocker): string {
  const kind = kernelThread ? 'kernel thread' : tid === pid ? 'process' : `process ${pid}, thread`;
  return `${comm} (${kind} ${tid})${name === undefined ? '' : ` in ${name}()`}`;
}

/** Each with what it does and what moves it. */
export function tellBlockers(explanation: Explanation | undefined): string[] {
  if (explanation === undefined) return [];
  if (explanation.blockers.length === 0) return ['no task is in the way: an idle processor is'];
  return explanation.blockers.map(blocker => `${nameBlocker(blocker)}: ${blocker.moves}`);
}
