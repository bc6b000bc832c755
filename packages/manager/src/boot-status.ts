/** Whether the running kernel has what is installed for it, and if not, why. */
import { type Guard, hasTripped, Installed, type InstalledEntry, whyTripped } from './installed.ts';
import { type Action, findUnfinished, type JournalEntry } from './journal.ts';
import { readUptime } from './kernel-identity.ts';
import { readKillSwitch } from './kill-switch.ts';
import { times } from './limits.ts';
import type { Machine } from './machine.ts';
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

/** @returns when the second try comes: by the clock of the day, which may jump by hours at boot, and in a way that does not */
export function tellWhen(machine: Machine, seconds: number): string {
  const at = new Date(Date.now() + seconds * 1000).toISOString();
  return `at ${at}, ${Math.round(readUptime(machine) + seconds)} s after the kernel began`;
}

/** Whether it has not come: who waited for it is no more. */
function hasMissed(machine: Machine, when: string): boolean {
  const due = /, (\d+) s after/.exec(when)?.[1];
  return due !== undefined && readUptime(machine) > Number(due) + times.late;
}

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
  const own = ofBoot.filter(one => one.livepatch === (livepatch ?? 'unknown'));
  const last = own.findLast(({ action }) => action === 'boot');
  const missed =
    last?.result === bootResults.again &&
    hasMissed(machine, last.notes?.[0] ?? '') &&
    !findUnfinished(own, kernel.bootId).some(({ action }) => action === 'load');
  const later = last && own.slice(own.indexOf(last) + 1).findLast(settles);
  const boot: BootStatus = {
    installed: entry,
    active,
    reasons: active ? [] : whyNotActive(entry, tripped ? found : undefined, switchedOff, last, missed, later),
    switchedOff,
    guard: found === undefined || state === undefined ? null : { ...found, state },
    others,
  };
  return { boot, health: judge(boot, own, last?.result, missed, later) };
}

function judge(
  { active, guard }: BootStatus,
  own: readonly JournalEntry[],
  last: string | undefined,
  missed: boolean,
  later: JournalEntry | undefined,
): BootHealth {
  // Also when it was loaded by hand: the next boot will not have it.
  if (guard?.state === 'tripped') return 'guard tripped';
  if (active) return 'well';
  if (later !== undefined) return 'installed but not active';
  const noSecond = missed || last === 'interrupted' || last === 'load-name-taken';
  if (last === 'load-timed-out' || (noSecond && firstTimedOut(own))) return 'transition stuck';
  return 'installed but not active';
}

/** How a load ends whose transition did not; `interrupted`: nobody saw how. */
const undecided: readonly (string | undefined)[] = ['reversed', 'being reversed', 'interrupted'];
const settling: readonly Action[] = ['load', 'unload', 'install', 'uninstall'];

/** Whether what the boot left open is decided by it: somebody took it into their hands. */
function settles({ action, phase, result }: JournalEntry): boolean {
  return phase === 'end' && settling.includes(action) && !undecided.includes(result);
}

/** Whether the try before the one that was to come ended so; the machine may also not have allowed it. */
function firstTimedOut(own: readonly JournalEntry[]): boolean {
  const again = own.findLastIndex(({ action, result }) => action === 'boot' && result === bootResults.again);
  const load = own
    .slice(0, Math.max(again, 0))
    .findLast(({ action, phase }) => action === 'load' && phase === 'end');
  return load?.result === 'reversed' || load?.result === 'being reversed';
}

function whyNotActive(
  { livepatch }: InstalledEntry,
  tripped: Guard | undefined,
  switchedOff: string | null,
  last: JournalEntry | undefined,
  missed: boolean,
  later: JournalEntry | undefined,
): string[] {
  if (tripped !== undefined) return [`left out: ${whyTripped(tripped)}`];
  const words = [...(last?.notes ?? [])];
  const since = later && [`since the boot: ${later.action} (${later.result ?? later.phase})`];
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
      return missed
        ? (since ?? [`it was to be tried once more ${words[0] ?? ''}, and was not`, ...words.slice(1)])
        : [`it is tried once more ${words[0] ?? ''}`, ...words.slice(1)];
    default:
      return since ?? words;
  }
}
