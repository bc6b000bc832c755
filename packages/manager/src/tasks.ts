import { limits } from './limits.ts';
import type { Machine } from './machine.ts';

/** Values of `/proc/PID/task/TID/patch_state` while a transition goes on. */
export const patchState = { unpatched: '0', patched: '1' } as const;
export type PatchState = (typeof patchState)[keyof typeof patchState];

export interface Task {
  readonly pid: number;
  readonly tid: number;
  /** Its name, at most 15 characters; anybody may have put anything there. */
  readonly comm: string;
  readonly kernelThread: boolean;
  /** A letter of proc_pid_stat(5): R running, S sleeping, D in uninterruptible sleep, T stopped … */
  readonly state: string;
}

/** `[<0>] pipe_read+0x3b4/0x4d0 [kstitch_pipe_9b976137]` */
export interface Frame {
  /** `pipe_read`, or an address where the kernel has no name. */
  readonly symbol: string;
  /** undefined for the kernel itself. */
  readonly module: string | undefined;
  /** As the kernel shows it, without the place in brackets at its beginning. */
  readonly text: string;
}

/** include/linux/sched.h: PF_KTHREAD */
const kernelThreadFlag = 0x0020_0000;

/** Folders of all tasks there are. */
function* taskFolders(machine: Machine): Generator<string, void, void> {
  for (const pid of machine.list('/proc') ?? []) {
    if (!/^\d+$/.test(pid)) continue;
    for (const tid of machine.list(`/proc/${pid}/task`) ?? []) yield `/proc/${pid}/task/${tid}`;
  }
}

/** @returns the tasks that are not yet where the transition leads; an idle processor's own task is not in /proc */
export function readTasksBehind(machine: Machine, target: PatchState): Task[] {
  const behind: Task[] = [];
  for (const folder of taskFolders(machine)) {
    const state = machine.read(`${folder}/patch_state`);
    if (state === undefined || state === target || !Object.values<string>(patchState).includes(state))
      continue;
    const task = readTask(machine, folder);
    if (task !== undefined) behind.push(task);
  }
  return behind;
}

/** @returns the tasks on whose stacks code of the module is */
export function readTasksInModule(machine: Machine, module: string): Task[] {
  const found: Task[] = [];
  for (const folder of taskFolders(machine)) {
    if (!readFrames(machine, folder).some(frame => frame.module === module)) continue;
    const task = readTask(machine, folder);
    if (task !== undefined) found.push(task);
  }
  return found;
}

/** @returns innermost first; nothing of a task that has ended */
export function readStack(machine: Machine, { pid, tid }: Task): Frame[] {
  return readFrames(machine, `/proc/${pid}/task/${tid}`);
}

function readFrames(machine: Machine, folder: string): Frame[] {
  const text = machine.read(`${folder}/stack`, limits.stack) ?? '';
  return text === '' ? [] : text.split('\n').map(parseFrame);
}

export function parseFrame(line: string): Frame {
  const text = line.replace(/^\[<[0-9a-f]*>\] /, '');
  const match = /^(\S+?)(?:\+0x[0-9a-f]+\/0x[0-9a-f]+)?(?: \[(\S+?)(?: [0-9a-f]+)?\])?$/.exec(text);
  return { symbol: match?.[1] ?? text, module: match?.[2], text };
}

function readTask(machine: Machine, folder: string): Task | undefined {
  const stat = machine.read(`${folder}/stat`);
  if (stat === undefined) return undefined;
  // `104 (cat) S 100 …`: the name may hold brackets and blanks, so it ends at the last bracket.
  const end = stat.lastIndexOf(')');
  const [state = '?', ...fields] = stat.slice(end + 2).split(' ');
  const flags = Number(fields[5] ?? 0);
  const [, , pid = '', , tid = ''] = folder.split('/');
  return {
    pid: Number(pid),
    tid: Number(tid),
    comm: stat.slice(stat.indexOf('(') + 1, end),
    // eslint-disable-next-line no-bitwise -- flags are bits
    kernelThread: (flags & kernelThreadFlag) !== 0,
    state,
  };
}
