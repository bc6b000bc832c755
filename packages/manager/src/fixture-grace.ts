/** For tests: what is known of when a livepatch was disabled, and how long is waited because of it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Context, silentContext } from '@kstitch/report/context';
import { ext4Name } from './fixture-machine.ts';
import type { JournalEntry } from './journal.ts';
import type { Machine } from './machine.ts';
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

/** From now on the machine counts the time since its boot, which stands still in a recorded one. */
export function countUptime(t: TestContext, { root }: Machine): void {
  const began = performance.now();
  const count = () =>
    writeFileSync(join(root, 'proc/uptime'), `${10_000 + (performance.now() - began) / 1000} 0.00\n`);
  count();
  const timer = setInterval(count, 20);
  t.after(() => clearInterval(timer));
}

/** Writes lines of an hour ago; the machine has been up for longer then. */
export function recordEarlier(
  { machine, journal, kernel }: Manager,
  ...lines: readonly Pick<JournalEntry, 'action' | 'phase' | 'result'>[]
): void {
  const at = new Date(Date.now() - 3_600_000).toISOString();
  writeFileSync(join(machine.root, 'proc/uptime'), '10000.00 0.00\n');
  for (const line of lines)
    journal.append({
      at,
      uptime: 6400,
      boot: kernel.bootId,
      kernel: kernel.release,
      livepatch: ext4Name,
      id: line.action,
      ...(line.action === 'reload' ? { target: 'loop' } : {}),
      ...line,
    });
}
