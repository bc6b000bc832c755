/** What is known about the livepatches of the running kernel, from the kernel and from what kstitch wrote down. */
import { isStateOfMachine } from '@kstitch/host/state-directory';
import type { Bundle } from '@kstitch/livepatch/bundle';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { type Attestation, attest } from './attest.ts';
import { type BootHealth, type BootStatus, readBootStatus } from './boot-status.ts';
import { aboutBoots, findUnfinished, type JournalEntry, notBegun } from './journal.ts';
import { readUptime } from './kernel-identity.ts';
import { times } from './limits.ts';
import type { Manager } from './manager.ts';
import { type LoadedLivepatch, readLivepatches } from './read-livepatches.ts';
import { findUnfinishedReload, targetOnly, type UnfinishedReload } from './unfinished-reload.ts';

export interface LivepatchStatus extends LoadedLivepatch {
  /** Whether kstitch loaded it and knows what is in it. */
  readonly known: boolean;
  readonly cves: readonly string[];
  /** Names of the source patches. */
  readonly patches: readonly string[];
  /** When it came to be as it is, ISO 8601; undefined when kstitch did not do it. */
  readonly since: string | undefined;
  /** It was told to be in force while tasks were still in the old code: it can never be removed. */
  readonly forced: boolean;
  readonly unload: Bundle['unload'] | undefined;
  /** Of one that is active. */
  readonly attestation: Attestation | undefined;
}

/**
 * `reboot needed`: a livepatch was forced. `fix withdrawn`: a reload of a module did not put its livepatch back, or the kernel
 * calls one active and leads no calls to it. The others are about the installed livepatch; `transition stuck` may be.
 */
export type Health = 'reboot needed' | 'fix withdrawn' | BootHealth;

/** What the kernel tells everybody: whether that is well, what kstitch wrote down would have to say. */
export interface PublicStatus {
  readonly health: 'unknown';
  readonly boot: null;
  readonly livepatches: readonly LivepatchStatus[];
}

export interface MachineStatus {
  readonly health: Health;
  readonly boot: BootStatus;
  readonly livepatches: readonly LivepatchStatus[];
  /** Actions of kstitch that neither ended nor go on: they were killed. */
  readonly unfinished: readonly JournalEntry[];
  readonly damagedJournalLines: number;
  /** A module that was to be loaded again, when that has not come to its end. */
  readonly unfinishedReload?: UnfinishedReload;
}

export async function readStatus(manager: Manager): Promise<MachineStatus> {
  const { machine, kernel, journal, store } = manager;
  const { entries, damagedLines } = journal.read();
  const ofBoot = entries.filter(({ boot }) => boot === kernel.bootId);
  const actionsOn = (name: string) =>
    ofBoot.filter(
      ({ livepatch, action, result }) =>
        livepatch === name && !aboutBoots.includes(action) && result !== targetOnly,
    );
  const livepatches = await Promise.all(
    readLivepatches(machine).map(async (livepatch): Promise<LivepatchStatus> => {
      const bundle = await store.bundle(livepatch.name);
      const own = actionsOn(livepatch.name);
      return {
        ...livepatch,
        known: bundle !== undefined,
        cves: bundle?.cves ?? [],
        patches: bundle?.patches.map(({ name }) => name) ?? [],
        since: own.at(-1)?.at,
        // Also where the run was killed before it could write how that ended.
        forced: isForced(own),
        unload: bundle?.unload,
        attestation: attest(machine, livepatch.name),
      };
    }),
  );
  const now = readUptime(machine);
  const stuck = livepatches.some(({ name, phase }) => {
    const began = actionsOn(name).at(-1)?.uptime;
    const isLong = began === undefined || now - began > times.stuck;
    return (phase === 'enabling' || phase === 'disabling') && isLong;
  });
  const reload = findUnfinishedReload(machine, entries, kernel.bootId);
  const { boot, health } = readBootStatus(manager, ofBoot);
  return {
    health: judgeHealth(livepatches, stuck, reload, health),
    boot,
    livepatches,
    unfinished: findUnfinished(entries, kernel.bootId),
    damagedJournalLines: damagedLines,
    ...(reload === undefined ? {} : { unfinishedReload: reload }),
  };
}

/** For who may not read what kstitch wrote down. */
export function readPublicStatus({ machine }: Manager): PublicStatus {
  const nothing = { known: false, cves: [], patches: [], since: undefined, forced: false, unload: undefined };
  return {
    health: 'unknown',
    boot: null,
    livepatches: readLivepatches(machine).map(livepatch => ({
      ...livepatch,
      ...nothing,
      attestation: attest(machine, livepatch.name),
    })),
  };
}

/** @returns as much as the user may know */
export async function readVisibleStatus(
  manager: Manager,
  environment?: NodeJS.ProcessEnv,
  userId?: number,
): Promise<MachineStatus | PublicStatus> {
  return isStateOfMachine(environment, userId) ? await readStatus(manager) : readPublicStatus(manager);
}

/** @returns that what kstitch wrote down of livepatches is not for our eyes: it lies in root's folder */
export function tellHidden(
  { livepatches }: Pick<MachineStatus, 'livepatches'>,
  userId: number | undefined = process.geteuid?.(),
): Diagnostic[] {
  const hidden = livepatches.filter(({ known }) => !known);
  if (userId === 0 || hidden.length === 0) return [];
  const names = hidden.map(({ name }) => `'${name}'`).join(', ');
  return [diagnostic('list-not-root', {}, `what is in ${names}, and since when, only root may read`)];
}

/** @returns why the health is unknown */
export function tellUnknown({ health }: MachineStatus | PublicStatus): Diagnostic[] {
  const what = 'what is installed, what is in the livepatches, and what was done to them only root may read';
  return health === 'unknown' ? [diagnostic('state-not-root', {}, what)] : [];
}

function isForced(own: readonly JournalEntry[]): boolean {
  const forces = own.filter(({ action }) => action === 'force');
  const begun = forces.filter(({ phase }) => phase === 'begin').length;
  return begun > forces.filter(({ result }) => result === notBegun).length;
}

function judgeHealth(
  livepatches: readonly LivepatchStatus[],
  stuck: boolean,
  reload: UnfinishedReload | undefined,
  boot: BootHealth,
): Health {
  if (stuck) return 'transition stuck';
  const isOut = livepatches.some(({ attestation }) => attestation?.verdict === 'not in force');
  if (isOut || reload?.withdrawn === true) return 'fix withdrawn';
  return livepatches.some(({ forced }) => forced) ? 'reboot needed' : boot;
}
