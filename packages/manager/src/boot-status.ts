/** Whether the running kernel has what is installed for it, and if not, why. */
import { type Guard, hasTripped, Installed, type InstalledEntry, whyTripped } from './installed.ts';
import type { JournalEntry } from './journal.ts';
import { readKillSwitch } from './kill-switch.ts';
import type { Manager } from './manager.ts';
import { readPhase } from './read-livepatches.ts';

export interface BootStatus {
  /** For the running kernel; null when nothing is. */
  readonly installed: InstalledEntry | null;
  readonly active: boolean;
  /** Why not; none when it is. */
  readonly reasons: readonly string[];
  /** What keeps any boot from loading it; null when nothing does. */
  readonly switchedOff: string | null;
  /** `set`: it was loaded at boot and has not settled. `tripped`: it is left out until it is installed again. */
  readonly guard: (Guard & { readonly state: 'set' | 'tripped' }) | null;
  /** Installed for other kernels. */
  readonly others: readonly InstalledEntry[];
}

export type BootHealth = 'well' | 'guard tripped' | 'transition stuck' | 'installed but not active';

/** What became of it at boot, as the journal has it, besides codes of the catalogue. */
export const bootResults = { again: 'once more', off: 'switched off', settled: 'settled' } as const;

/** @param ofBoot - the journal's entries of this boot */
export function readBootStatus(
  { machine, kernel, stateDirectory: directory }: Manager,
  ofBoot: readonly JournalEntry[],
): { readonly boot: BootStatus; readonly health: BootHealth } {
  const store = new Installed(directory);
  const all = store.list();
  const entry = all.find(one => one.kernel === kernel.release) ?? null;
  const others = all.filter(one => one !== entry);
  const switchedOff = readKillSwitch(machine) ?? null;
  if (entry === null)
    return {
      boot: { installed: null, active: false, reasons: [], switchedOff, guard: null, others },
      health: 'well',
    };

  const { livepatch } = entry;
  const found = store.readGuard(kernel.release);
  const tripped = hasTripped(found, livepatch ?? '', kernel.bootId);
  // One that an earlier boot left for another livepatch means nothing any more.
  const isSet = found?.livepatch === livepatch && found?.boot === kernel.bootId;
  const state = tripped ? 'tripped' : isSet ? 'set' : undefined;
  const active = livepatch !== undefined && readPhase(machine, livepatch) === 'active';
  const last = ofBoot.findLast(one => one.action === 'boot' && one.livepatch === (livepatch ?? 'unknown'));
  const boot: BootStatus = {
    installed: entry,
    active,
    reasons: active ? [] : whyNotActive(entry, tripped ? found : undefined, switchedOff, last),
    switchedOff,
    guard: found === undefined || state === undefined ? null : { ...found, state },
    others,
  };
  return { boot, health: judge(boot, last) };
}

function judge({ active, guard }: BootStatus, last: JournalEntry | undefined): BootHealth {
  // Also when it was loaded by hand: the next boot will not have it.
  if (guard?.state === 'tripped') return 'guard tripped';
  if (active) return 'well';
  // The second comes after the first alone: a module that stays where the transition was reversed.
  if (last?.result === 'load-timed-out' || last?.result === 'load-name-taken') return 'transition stuck';
  return 'installed but not active';
}

function whyNotActive(
  { livepatch }: InstalledEntry,
  tripped: Guard | undefined,
  switchedOff: string | null,
  last: JournalEntry | undefined,
): string[] {
  if (tripped !== undefined) return [`left out: ${whyTripped(tripped)}`];
  const words = [...(last?.notes ?? [])];
  switch (last?.result) {
    case undefined:
      if (switchedOff !== null) return [`switched off: ${switchedOff}`];
      return livepatch === undefined
        ? ['the file that names it is damaged']
        : ['it was not loaded in this boot'];
    case bootResults.off:
      return [`switched off when it booted: ${words.join(', ')}`];
    case bootResults.settled:
      return ['it was loaded at boot, and taken out since'];
    case bootResults.again:
      return [`it is tried once more ${words[0] ?? ''}`, ...words.slice(1)];
    default:
      return words;
  }
}
