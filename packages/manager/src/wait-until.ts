import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '@kstitch/report/context';

/**
 * Waits, and shows how long.
 *
 * @param until - milliseconds since 1970; a time that is over is not waited for
 * @throws what the context's signal carries when it is aborted
 */
export async function waitUntil(context: Context, label: string, until: number): Promise<void> {
  const left = until - Date.now();
  if (left <= 0) return;
  await context.progress.step(label, async update => {
    for (let rest = left; rest > 0; rest = until - Date.now()) {
      update(`${Math.ceil(rest / 1000)} s`);
      await sleep(Math.min(rest, 1000), undefined, { signal: context.signal });
    }
  });
}
