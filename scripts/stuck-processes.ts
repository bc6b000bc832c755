import { readFileSync } from 'node:fs';

/**
 * Kills the processes that this one started longer than `seconds` ago, and whatever those started. Node's test runner gives a time limit
 * to a test but not to a file: one that loops, or leaves something open, would never end.
 *
 * @returns the last word of each killed child's command, which is the file that it ran
 */
export function killStuckChildren(seconds: number): string[] {
  const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ', 1)[0]);
  return childrenOf(process.pid).flatMap(pid => {
    const started = startOf(pid);
    if (started === undefined || uptime - started < seconds) return [];
    const file = readProc(`${pid}/cmdline`)?.split('\0').at(-2) ?? '';
    for (const victim of [pid, ...descendantsOf(pid)]) {
      try {
        process.kill(victim, 'SIGKILL');
      } catch (error) {
        // It ended by itself meanwhile.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    return [file];
  });
}

function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap(child => [child, ...descendantsOf(child)]);
}

function childrenOf(pid: number): number[] {
  return (readProc(`${pid}/task/${pid}/children`) ?? '').split(' ').filter(Boolean).map(Number);
}

/** @returns seconds from the machine's start to the process's (proc_pid_stat(5), field 22, in ticks of 10 ms) */
function startOf(pid: number): number | undefined {
  const stat = readProc(`${pid}/stat`);
  // The name in parentheses may hold anything; behind it comes field 3.
  const ticks = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return ticks === undefined ? undefined : Number(ticks) / 100;
}

/** @returns undefined when the process is gone */
function readProc(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, 'latin1');
  } catch {
    return undefined;
  }
}
