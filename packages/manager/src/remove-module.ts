/**
 * Removes the module of a livepatch that is disabled. The kernel itself only checks that no task is in a function that replaced
 * another (kernel/livepatch/transition.c); a `.cold` part, a helper, a timer of the livepatch it does not see. So only those
 * are removed that the builder calls safe, after a time for what may still run, and after a look at every stack, twice.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '@kstitch/host/run';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { readUptime } from './kernel-identity.ts';
import { times } from './limits.ts';
import type { Manager } from './manager.ts';
import { readLivepatch } from './read-livepatches.ts';
import { readTasksInModule } from './tasks.ts';
import { waitFor } from './wait-for.ts';

export interface Removal {
  readonly removed: boolean;
  /** Why not. */
  readonly reasons: readonly string[];
}

export interface RemovalRequest {
  readonly name: string;
  readonly graceSeconds: number;
  /** When it was disabled, in seconds since boot; undefined when nobody knows: the grace time begins now. */
  readonly disabledAt: number | undefined;
}

export async function removeModule(
  context: Context,
  { machine, store }: Manager,
  { name, graceSeconds, disabledAt = readUptime(machine) }: RemovalRequest,
): Promise<Removal> {
  const began = performance.now();
  const rest = disabledAt + graceSeconds - readUptime(machine);
  const bundle = await store.bundle(name);
  if (bundle === undefined)
    return leave('kstitch did not load it, so that it is not known whether it may be removed');
  if (bundle.unload.verdict !== 'safe') return leave(...bundle.unload.reasons);

  if (!(await waitForRelease()))
    return leave('the kernel still holds the module; one whose transition was forced it never lets go of');

  const label = `wait until nothing of '${name}' can still run`;
  await waitFor(context, label, rest - (performance.now() - began) / 1000);
  for (let look = 0; look < 2; look++) {
    if (look > 0) await sleep(times.betweenLooks * 1000, undefined, { signal: context.signal });
    const inside = tellInside();
    if (inside.length > 0) return leave(...inside);
  }

  // Beyond this point nothing is known to use the module.
  try {
    await run('rmmod', [name], { env: systemPath() });
  } catch (error) {
    if (!(error instanceof KstitchError) || error.code !== 'host-tool-failed') throw error;
    return leave(...error.notes);
  }
  return { removed: true, reasons: [] };

  function tellInside(): string[] {
    try {
      return readTasksInModule(machine, name).map(
        ({ comm, tid }) => `${comm} (task ${tid}) is in code of the livepatch`,
      );
    } catch (error) {
      // Where kernel.yama.ptrace_scope is 3 not even root may.
      if (!(error instanceof KstitchError)) throw error;
      return [`whether a task is in its code cannot be seen: ${error.message}`];
    }
  }

  async function waitForRelease(): Promise<boolean> {
    const until = performance.now() + times.release * 1000;
    while (readLivepatch(machine, name)?.phase === 'held') {
      if (performance.now() > until) return false;
      await sleep(times.poll * 1000, undefined, { signal: context.signal });
    }
    return true;
  }
}

function leave(...reasons: string[]): Removal {
  return { removed: false, reasons };
}

/** The tools for modules lie outside of the PATH of an ordinary user, and of some services. */
export function systemPath(): { readonly PATH: string } {
  return { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
}
