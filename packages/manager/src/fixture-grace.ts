/** For tests: what is known of when a livepatch was disabled, and how long is waited because of it. */
import { type Context, silentContext } from '@kstitch/report/context';
import { ext4Name } from './fixture-machine.ts';
import type { JournalEntry } from './journal.ts';
import type { Manager } from './manager.ts';

/** @returns the seconds that a grace time was waited for, one for each time */
export function countWaits(): { readonly context: Context; readonly waits: number[] } {
  const waits: number[] = [];
  const context = silentContext();
  const step: Context['progress']['step'] = async (label, work) => {
    const began = performance.now();
    try {
      return await work(() => {});
    } finally {
      if (label.startsWith('wait until nothing of')) waits.push((performance.now() - began) / 1000);
    }
  };
  return { context: { ...context, progress: { ...context.progress, step } }, waits };
}

/** Writes lines of an hour ago. */
export function recordEarlier(
  { journal, kernel }: Manager,
  ...lines: readonly Pick<JournalEntry, 'action' | 'phase' | 'result'>[]
): void {
  const at = new Date(Date.now() - 3_600_000).toISOString();
  for (const line of lines)
    journal.append({
      at,
      boot: kernel.bootId,
      kernel: kernel.release,
      livepatch: ext4Name,
      id: line.action,
      ...(line.action === 'reload' ? { target: 'loop' } : {}),
      ...line,
    });
}
