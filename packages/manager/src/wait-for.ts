import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '@kstitch/report/context';

/**
 * Waits, and shows how long. Not by the clock of the day: at boot it may jump by hours once the network is there.
 *
 * @throws what the context's signal carries when it is aborted
 */
export async function waitFor(context: Context, label: string, seconds: number): Promise<void> {
  if (seconds <= 0) return;
  const until = performance.now() + seconds * 1000;
  await context.progress.step(label, async update => {
    for (let rest = seconds * 1000; rest > 0; rest = until - performance.now()) {
      update(`${Math.ceil(rest / 1000)} s`);
      await sleep(Math.min(rest, 1000), undefined, { signal: context.signal });
    }
  });
}
