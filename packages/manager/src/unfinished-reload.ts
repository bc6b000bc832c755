/** A reload of a module that did not come to its end: what it left, as the journal and the kernel tell. */
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { type JournalEntry, notBegun } from './journal.ts';
import type { Machine } from './machine.ts';
import { isModuleLoaded, readLivepatch } from './read-livepatches.ts';

export interface UnfinishedReload {
  /** The livepatch that was taken out of force for it. */
  readonly livepatch: string;
  /** The module. */
  readonly target: string;
  /** Whether the livepatch is still not in force. */
  readonly withdrawn: boolean;
  /** Whether the module is not loaded. */
  readonly targetMissing: boolean;
  /** Whether the module was loaded again. */
  readonly reloaded: boolean;
  /** When it began, milliseconds since 1970. */
  readonly since: number;
  /** The same in seconds since boot; older versions did not write it. */
  readonly sinceUptime?: number;
}

/** Steps of a reload in the journal. */
export const reloadSteps = {
  disabled: 'disabled',
  targetRemoved: 'target removed',
  targetLoaded: 'target loaded',
} as const;

/** How a reload ends that loaded a missing module, and touched no livepatch. */
export const targetOnly = 'target only';

/** How a reload ends that leaves nothing to do; all but the first leave the livepatch in force. */
const settled: readonly (string | undefined)[] = [
  'restored',
  'unload-timed-out',
  'unload-reversed',
  'transition-busy',
  notBegun,
  targetOnly,
];

/** How a load ends that put a livepatch into force. */
const inForce: readonly (string | undefined)[] = ['attested', 'shadowed', 'waiting', 'sysfs only', 'active'];

/** @returns undefined when nothing is left to do */
export function findUnfinishedReload(
  machine: Machine,
  entries: readonly JournalEntry[],
  bootId: string,
): UnfinishedReload | undefined {
  // From the first run that did not end: those that went on with it and were killed too belong to it.
  let runs: JournalEntry[] = [];
  let decided = false;
  for (const entry of entries.filter(({ boot }) => boot === bootId)) {
    const { action, phase, result, livepatch } = entry;
    if (action === 'reload') {
      // One of another module begins only where the livepatch is in force: what was killed before had done nothing.
      const [first] = runs;
      const goesOn = first?.target === entry.target && first?.livepatch === livepatch;
      if (phase === 'begin' && (decided || !goesOn)) runs = [];
      if (phase === 'begin') decided = false;
      runs.push(entry);
      if (phase === 'end' && settled.includes(result)) runs = [];
    }
    // The livepatch, or another in its place, was put into force by hand, or it was taken out for good.
    if (phase !== 'end') continue;
    if (action === 'load' && inForce.includes(result)) decided = true;
    if (action === 'unload' && livepatch === runs[0]?.livepatch) decided = true;
  }
  const [began] = runs;
  if (began?.target === undefined) return undefined;

  const { livepatch, target } = began;
  const loaded = isModuleLoaded(machine, target);
  const has = (step: string) => runs.some(({ result }) => result === step);
  const left = {
    livepatch,
    target,
    withdrawn: !decided && readLivepatch(machine, livepatch)?.phase !== 'active',
    // Without either step it was not there before: somebody else removed it.
    targetMissing:
      !loaded &&
      (has(reloadSteps.disabled) || has(reloadSteps.targetRemoved)) &&
      !has(reloadSteps.targetLoaded),
    // Whoever loads a module that was removed does so with what lies on the disk, as a reload does.
    reloaded: has(reloadSteps.targetLoaded) || (has(reloadSteps.targetRemoved) && loaded),
    since: Date.parse(began.at),
    ...(began.uptime === undefined ? {} : { sinceUptime: began.uptime }),
  };
  return left.withdrawn || left.targetMissing ? left : undefined;
}

export function tellUnfinishedReload(unfinished: UnfinishedReload | undefined): Diagnostic[] {
  if (unfinished === undefined) return [];
  const { livepatch, target, withdrawn, targetMissing } = unfinished;
  const what = [
    ...(withdrawn ? [`'${livepatch}' is not in force`] : []),
    ...(targetMissing ? [`module '${target}' is not loaded`] : []),
  ];
  return [
    diagnostic('reload-unfinished', {}, `loading module '${target}' again did not end: ${what.join(', ')}`, {
      help: withdrawn
        ? `go on with it: kstitch reload-target ${target}`
        : `load it: modprobe ${target}; if the kernel refuses it: kstitch reload-target ${target}`,
    }),
  ];
}
