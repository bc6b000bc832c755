import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { type Explanation, explainTransition, nameBlocker, tellBlockers } from './explain.ts';
import { times } from './limits.ts';
import type { Machine } from './machine.ts';
import { isInTransition, readPhase } from './read-livepatches.ts';

export interface Watched {
  /** `reached`: the livepatch is active, or gone, as wanted. `timeout`. `other`: somebody turned it round. */
  readonly end: 'reached' | 'timeout' | 'other';
  readonly seconds: number;
  /** Who was in the way last, and what moves them; or why that could not be seen. */
  readonly inTheWay: readonly string[];
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
    let seen: Seen | undefined;
    const hasEnded = (): 'reached' | 'other' | undefined => {
      const phase = isInTransition(machine, name) ? 'busy' : readPhase(machine, name);
      if (phase !== undefined && phase !== 'active') return undefined;
      return (phase === 'active') === (wanted === 'active') ? 'reached' : 'other';
    };
    for (;;) {
      const seconds = (performance.now() - began) / 1000;
      const end = hasEnded();
      if (end !== undefined) return { end, seconds, inTheWay: seen?.inTheWay ?? [] };
      if (seconds >= timeoutSeconds) {
        seen = look(machine) ?? seen;
        // The look may have taken long enough for it.
        return { end: hasEnded() ?? 'timeout', seconds, inTheWay: seen?.inTheWay ?? [] };
      }
      const now = performance.now();
      if (now >= nextLook) {
        seen = look(machine);
        if (seen !== undefined) update(seen.summary);
        // Where there are thousands of tasks, looking at all of them may not become a load of its own.
        nextLook = now + Math.max(times.blockers * 1000, 200 * (performance.now() - now));
      }
      await sleep(1000 * pollAfter(seconds), undefined, { signal: context.signal });
    }
  });
}

interface Seen {
  readonly summary: string;
  readonly inTheWay: readonly string[];
}

/** Only tells: where not even root may look at tasks (kernel.yama.ptrace_scope is 3), the transition goes on as well. */
function look(machine: Machine): Seen | undefined {
  try {
    const explanation = explainTransition(machine);
    return explanation && { summary: whoIsLeft(explanation), inTheWay: tellBlockers(explanation) };
  } catch (error) {
    if (!(error instanceof KstitchError)) throw error;
    return {
      summary: 'who is left cannot be seen',
      inTheWay: [`who is in the way cannot be seen: ${error.message}`],
    };
  }
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
