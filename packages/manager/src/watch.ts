import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '@kstitch/report/context';
import { type Explanation, explainTransition, nameBlocker } from './explain.ts';
import { times } from './limits.ts';
import type { Machine } from './machine.ts';
import { isInTransition, readPhase } from './read-livepatches.ts';

export interface Watched {
  /** `reached`: the livepatch is active, or gone, as wanted. `timeout`. `other`: somebody turned it round. */
  readonly end: 'reached' | 'timeout' | 'other';
  readonly seconds: number;
  /** Who was in the way last. */
  readonly explanation: Explanation | undefined;
}

/** How many of the blockers are named while one waits. */
const named = 3;

/**
 * Waits for the end of a transition. sysfs gives no event for it (kernel/livepatch calls no sysfs_notify()), so it is polled,
 * finely; a poll reads one file that lies in memory.
 *
 * @param wanted - how the livepatch is to end: active, or no longer there
 * @throws KstitchError - `machine-not-root`; what the context's signal carries when it is aborted
 */
export async function watchTransition(
  context: Context,
  machine: Machine,
  name: string,
  wanted: 'active' | 'gone',
  timeoutSeconds: number,
): Promise<Watched> {
  const label = wanted === 'active' ? `enable '${name}'` : `disable '${name}'`;
  return await context.progress.step(label, async update => {
    const began = performance.now();
    let nextLook = began + times.blockers * 1000;
    let explanation: Explanation | undefined;
    for (;;) {
      const seconds = (performance.now() - began) / 1000;
      const phase = isInTransition(machine, name) ? 'busy' : readPhase(machine, name);
      if (phase === undefined || phase === 'active') {
        const reached = (phase === 'active') === (wanted === 'active');
        return { end: reached ? 'reached' : 'other', seconds, explanation };
      }
      if (seconds >= timeoutSeconds) {
        return { end: 'timeout', seconds, explanation: explainTransition(machine) ?? explanation };
      }
      const now = performance.now();
      if (now >= nextLook) {
        explanation = explainTransition(machine);
        if (explanation !== undefined) update(whoIsLeft(explanation));
        // Where there are thousands of tasks, looking at all of them may not become a load of its own.
        nextLook = now + Math.max(times.blockers * 1000, 200 * (performance.now() - now));
      }
      await sleep(1000 * pollAfter(seconds), undefined, { signal: context.signal });
    }
  });
}

/**
 * @returns seconds until the next poll: to a twentieth of what the transition has taken, for short ones as finely as there is
 *   use in
 */
export function pollAfter(seconds: number): number {
  return Math.min(Math.max(times.poll, seconds / 20), times.longestPoll);
}

function whoIsLeft({ blockers }: Explanation): string {
  if (blockers.length === 0) return 'an idle processor is left';
  const more = blockers.length - named;
  const names = blockers.slice(0, named).map(nameBlocker).join(', ');
  return `${blockers.length} ${blockers.length === 1 ? 'task is' : 'tasks are'} left: ${names}${more > 0 ? `, and ${more} more` : ''}`;
}
