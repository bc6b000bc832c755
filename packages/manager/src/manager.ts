import { statSync } from 'node:fs';
import { makeDirectoryDurably } from '@kstitch/host/files';
import { withLock } from '@kstitch/host/lock';
import { stateDirectory } from '@kstitch/host/state-directory';
import type { Context } from '@kstitch/report/context';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { Installed } from './installed.ts';
import { aboutBoots, findUnfinished, Journal, type JournalEntry } from './journal.ts';
import { type KernelIdentity, readKernelIdentity } from './kernel-identity.ts';
import { Machine } from './machine.ts';
import { readLivepatch } from './read-livepatches.ts';
import { Store } from './store.ts';
import { findUnfinishedReload, tellUnfinishedReload } from './unfinished-reload.ts';

/** What every action works with: the running kernel, and what kstitch wrote down about it. */
export interface Manager {
  readonly machine: Machine;
  readonly kernel: KernelIdentity;
  readonly stateDirectory: string;
  readonly journal: Journal;
  readonly store: Store;
}

/** @throws KstitchError - `host-state-relative`, `machine-unreadable` */
export function openManager(machine: Machine = new Machine(), directory: string = stateDirectory()): Manager {
  const kernel = readKernelIdentity(machine);
  return {
    machine,
    kernel,
    stateDirectory: directory,
    journal: new Journal(directory, machine),
    store: new Store(directory, kernel.release),
  };
}

/**
 * Runs what changes the running kernel while no other kstitch does, writes down first how actions ended that were killed, and
 * tells at the end what is still to be gone on with.
 *
 * @param work - is handed the journal as it is then
 */
export async function alone<T>(
  context: Context,
  manager: Manager,
  work: (entries: readonly JournalEntry[]) => Promise<T>,
): Promise<T> {
  await makeDirectoryDurably(manager.stateDirectory, 0o700);
  if (!context.diagnostics.some(({ code }) => code === 'state-open'))
    context.diagnostics.push(...tellOpen(manager.stateDirectory));
  return await withLock(
    context,
    'livepatches',
    async () => {
      closeInterrupted(context, manager);
      const result = await work(manager.journal.read().entries);
      const { machine, kernel, journal } = manager;
      const left = findUnfinishedReload(machine, journal.read().entries, kernel.bootId);
      context.diagnostics.push(...tellUnfinishedReload(left));
      return result;
    },
    manager.stateDirectory,
  );
}

/** Whoever may write into the folder may put another livepatch, or none, in the place of what is installed. */
function tellOpen(directory: string): Diagnostic[] {
  return (statSync(directory).mode & 0o022) === 0
    ? []
    : [diagnostic('state-open', {}, `others than its owner may write into '${directory}'`)];
}

/** What there is is the truth; the journal is made to agree with it. */
function closeInterrupted({ diagnostics }: Context, manager: Manager): void {
  const { kernel, journal } = manager;
  for (const entry of findUnfinished(journal.read().entries, kernel.bootId))
    journal.appendIfPossible(
      {
        ...entry,
        ...journal.now(),
        phase: 'end',
        result: 'interrupted',
        notes: [`found later: ${findState(manager, entry)}`],
      },
      diagnostics,
    );
}

function findState({ machine, stateDirectory: directory }: Manager, entry: JournalEntry): string {
  const { action, kernel, livepatch } = entry;
  if (action === 'install' || action === 'uninstall')
    return new Installed(directory).read(kernel)?.livepatch === livepatch ? 'installed' : 'not installed';
  return readLivepatch(machine, livepatch)?.phase ?? 'not loaded';
}

/**
 * @returns when the livepatch was disabled, in seconds since boot; undefined when nobody knows: anything that was done with it later,
 *   or that the journal does not tell the end of, may have put it into force again
 */
export function disabledAt(
  entries: readonly JournalEntry[],
  bootId: string,
  name: string,
): number | undefined {
  const last = entries.findLast(
    ({ boot, livepatch, action }) => boot === bootId && livepatch === name && !aboutBoots.includes(action),
  );
  return last?.result === 'disabled' || last?.result === 'reversed' ? last.uptime : undefined;
}
