/**
 * Which functions are the whole life of a thread. The kernel switches a task when no replaced function is on its stack, and a
 * thread's main function is always there: kpktgend_0 sleeps in pktgen_thread_worker() until pktgen is removed.
 *
 * Threads are started by a call that has the function among its arguments (include/linux/kthread.h,
 * include/linux/sched/task.h).
 */
import type { Atom, Reference, Unit } from '../unit/atom.ts';

const starters: ReadonlySet<string> = new Set([
  'create_io_thread',
  'kernel_thread',
  'kthread_create_on_cpu',
  'kthread_create_on_node',
  'user_mode_thread',
  'vhost_task_create',
]);

/**
 * Where every kernel thread is that sleeps, or every one of a kind: kthread() calls the thread's function, workers and the
 * per-CPU threads wait in theirs (kernel/kthread.c, kernel/workqueue.c, kernel/smpboot.c), and all of them in schedule().
 */
export const alwaysOnStacks: ReadonlySet<string> = new Set([
  '__schedule',
  'kthread',
  'kthread_worker_fn',
  'rescuer_thread',
  'schedule',
  'smpboot_thread_fn',
  'worker_thread',
]);

/** References between that of the first argument and the call: the data, the name, the node, a lock. */
const maxArguments = 4;

/** @param isBranch - whether the reference of a function is the target of a call or jump */
export function findThreadFunctions(
  unit: Unit,
  isBranch: (atom: Atom, reference: Reference) => boolean,
): ReadonlySet<Atom> {
  const found = new Set<Atom>();
  for (const atom of unit.atoms) {
    if (atom.kind !== 'function') continue;
    for (const [i, { target }] of atom.references.entries()) {
      if (target.kind !== 'external' || !starters.has(target.name)) continue;
      const before = atom.references.slice(Math.max(0, i - maxArguments), i);
      // What stands before an earlier call is an argument of that one.
      const call = before.findLastIndex(each => isBranch(atom, each));
      for (const argument of before.slice(call + 1))
        if (argument.target.kind === 'atom' && argument.target.atom.kind === 'function')
          found.add(argument.target.atom);
    }
  }
  return found;
}
