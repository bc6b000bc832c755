/**
 * Loads a livepatch and sees it through: preflight, insmod, the transition, attestation. Whatever happens, the journal says so,
 * and the kernel is left in one of two states: the livepatch is in force, or it is not.
 */
import { inFront, stepBack } from '@kstitch/host/priority';
import { run } from '@kstitch/host/run';
import { parseBundle } from '@kstitch/livepatch/bundle';
import type { Context } from '@kstitch/report/context';
import { stopOnRefusals } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { type Attestation, attest } from './attest.ts';
import { beginAction, type JournalAction, type JournalEntry, notBegun } from './journal.ts';
import { readUptime } from './kernel-identity.ts';
import { readKernelLog } from './kernel-log.ts';
import { times } from './limits.ts';
import { alone, disabledAt, type Manager } from './manager.ts';
import { checkFiles, checkKernel, preflight } from './preflight.ts';
import { livepatchFolder, readLivepatch, readPhase, writeIfAllowed } from './read-livepatches.ts';
import { removeModule, systemPath } from './remove-module.ts';
import { freeSpace, type LivepatchFiles } from './store.ts';
import { type Watched, watchTransition } from './watch.ts';

export interface LoadRequest {
  readonly files: LivepatchFiles;
  /** For messages: the record's name. */
  readonly what: string;
  /** For the transition; after that it is reversed. */
  readonly timeoutSeconds: number;
  /** Between disabling and removing, for one of the same name that is still there. */
  readonly graceSeconds: number;
  /** Livepatches that may be taken out of force. */
  readonly drop: readonly string[];
  /** Ends after the preflight. */
  readonly dryRun: boolean;
  /** Asked when the time is up, in place of reversing: whether the kernel is to be told that all tasks have moved. */
  readonly force?: (name: string) => Promise<boolean>;
}

/** How long a transition may take, and what then. */
export type Transition = Pick<LoadRequest, 'timeoutSeconds' | 'force'>;

export interface LoadResult {
  readonly livepatch: string;
  /** `checked`: by a dry run. `already`: it was in force before. */
  readonly result: 'checked' | 'loaded' | 'already';
  readonly forced: boolean;
  readonly insmodSeconds?: number;
  readonly transitionSeconds?: number;
  readonly attestation?: Attestation;
}

/**
 * @throws Refusal - by the preflight: `load-*`, `transition-busy`
 * @throws KstitchError - `load-kernel-refused`, `load-timed-out`, `load-reversed`, `load-not-in-force`, `load-name-taken`,
 *   `machine-*`, `bundle-*`, `host-*`, `interrupted`
 */
export async function loadLivepatch(
  context: Context,
  manager: Manager,
  request: LoadRequest,
): Promise<LoadResult> {
  // Those who work meanwhile see a load as a pause. The kernel's own part is not drawn out: others may wait for its locks.
  stepBack();
  if (request.dryRun)
    return { livepatch: await check(context, manager, request), result: 'checked', forced: false };
  return await alone(context, manager, entries => loadAlone(context, manager, request, entries));
}

/**
 * As {@link loadLivepatch}, for who holds the lock.
 *
 * @param entries - the journal's
 * @param beforeLoad - runs when all else is done that comes before insmod; when it throws nothing is loaded
 */
export async function loadAlone(
  context: Context,
  manager: Manager,
  request: Omit<LoadRequest, 'dryRun'>,
  entries: readonly JournalEntry[],
  beforeLoad?: () => Promise<void>,
): Promise<LoadResult> {
  const { machine, store, journal, kernel } = manager;
  const name = await check(context, manager, request);
  const before = readLivepatch(machine, name);
  if (before?.phase === 'active') {
    await beforeLoad?.();
    return { ...confirm(manager, name), result: 'already', forced: false };
  }

  // One that was reversed or disabled leaves its module behind, which keeps its name.
  if (before?.phase === 'disabled' || before?.phase === 'held') {
    const removal = await removeModule(context, manager, {
      name,
      graceSeconds: request.graceSeconds,
      disabledAt: disabledAt(entries, kernel.bootId, name),
    });
    if (!removal.removed)
      throw new KstitchError('load-name-taken', `load '${name}': its module is still there, disabled`, {
        notes: removal.reasons,
      });
  }

  // What is loaded is what was checked: the copy that only root may change.
  await store.keep(name, request.files);
  await beforeLoad?.();
  // The kernel is not to begin what would be taken back at once.
  context.signal.throwIfAborted();
  const action = beginAction(journal, kernel, 'load', name, context.diagnostics);
  const result = await enableLivepatch(context, manager, name, request, action);
  action.end(result.attestation?.verdict ?? 'active');
  return { ...result, result: 'loaded' };
}

/**
 * The preflight.
 *
 * @returns the livepatch's name
 * @throws KstitchError - `transition-busy`
 */
async function check(
  context: Context,
  { machine, kernel, stateDirectory, store }: Manager,
  { files, what, drop }: Pick<LoadRequest, 'files' | 'what' | 'drop'>,
): Promise<string> {
  const bundle = parseBundle(files.record, what);
  const { module } = files;
  // Nothing is loaded where it is in force: whatever came after it has nothing to do with that.
  if (readPhase(machine, bundle.module) === 'active') {
    stopOnRefusals([...checkFiles({ bundle, module }), ...checkKernel(kernel, bundle)]);
    return bundle.module;
  }
  const findings = await context.progress.step('preflight', () =>
    preflight(machine, kernel, {
      bundle,
      module,
      drop,
      freeDisk: freeSpace(stateDirectory),
      bundleOf: other => store.bundle(other),
    }),
  );
  stopOnRefusals(findings);
  const name = bundle.module;
  if (readPhase(machine, name) === 'disabling')
    throw new KstitchError('transition-busy', `load '${name}': it is being disabled`);
  context.diagnostics.push(...findings);
  return name;
}

/**
 * From the store into force: insmod where the kernel does not have it yet, the transition, attestation. What goes wrong ends the
 * action; what went well its owner ends.
 */
export async function enableLivepatch(
  context: Context,
  manager: Manager,
  name: string,
  request: Transition,
  action: JournalAction,
): Promise<Omit<LoadResult, 'result'>> {
  const pending = readPhase(manager.machine, name) === undefined;
  const insmodSeconds = pending ? await insmod(context, manager, name, action) : undefined;
  const { watched, forced } = await seeThrough(context, manager, name, request, action);
  return {
    ...confirm(manager, name, action),
    forced,
    ...(insmodSeconds === undefined ? {} : { insmodSeconds }),
    transitionSeconds: watched.seconds,
  };
}

/** @returns seconds; the kernel has begun the transition by then */
async function insmod(
  context: Context,
  { machine, store }: Manager,
  name: string,
  action: JournalAction,
): Promise<number> {
  const began = performance.now();
  const since = readUptime(machine);
  try {
    // Not ended by Ctrl-C: the kernel would go on without it.
    await context.progress.step(`load '${name}'`, () =>
      inFront(() => run('insmod', [store.modulePath(name)], { env: systemPath() })),
    );
  } catch (error) {
    action.end('load-kernel-refused');
    if (!(error instanceof KstitchError) || error.code !== 'host-tool-failed') throw error;
    const words = error.notes.map(line => line.replace(/^insmod: (?:ERROR: )?/, ''));
    // To root the kernel says the same where it is locked down.
    if (process.geteuid?.() !== 0 && words.some(line => line.includes('Operation not permitted')))
      throw new KstitchError('machine-not-root', `load '${name}': only root may load modules`, {
        cause: error,
      });
    throw new KstitchError('load-kernel-refused', `load '${name}': the kernel refuses it`, {
      notes: [...words, ...readKernelLog(machine, since, ['livepatch', name, 'module'])],
      cause: error,
    });
  }
  action.step('inserted');
  return (performance.now() - began) / 1000;
}

interface Seen {
  readonly watched: Watched;
  readonly forced: boolean;
}

/** Waits for the end of the transition, or reverses it. */
async function seeThrough(
  context: Context,
  manager: Manager,
  name: string,
  request: Transition,
  action: JournalAction,
): Promise<Seen> {
  try {
    return await waitForEnd(context, manager, name, request, action);
  } catch (error) {
    // When time was up that was done already, or the kernel would not have it.
    if (error instanceof KstitchError && error.code === 'load-timed-out') throw error;
    // Whoever interrupts a load does not want it half done, and no failure of ours may leave it so.
    if (readPhase(manager.machine, name) === 'enabling') await reverse(context, manager, name, action);
    throw error;
  }
}

async function waitForEnd(
  context: Context,
  manager: Manager,
  name: string,
  request: Transition,
  action: JournalAction,
): Promise<Seen> {
  const { machine, journal, kernel } = manager;
  const watched = await watchTransition(context, machine, name, 'active', request.timeoutSeconds);
  if (watched.end === 'reached') return { watched, forced: false };
  stopIfReversed(watched);

  const { inTheWay } = watched;
  if (request.force !== undefined) {
    const isConfirmed = await request.force(name);
    // Whoever is asked may take longer than the transition.
    const now = await watchTransition(context, machine, name, 'active', 0);
    if (now.end === 'reached') return { watched, forced: false };
    stopIfReversed(now);
    if (isConfirmed) {
      const force = beginAction(journal, kernel, 'force', name, context.diagnostics);
      const refusal = writeIfAllowed(machine, `${livepatchFolder}/${name}/force`, '1');
      const seconds = refusal === undefined ? times.release : 0;
      const after = await watchTransition(context, machine, name, 'active', seconds);
      const result = after.end === 'reached' ? 'active' : after.end;
      force.end(refusal === undefined ? result : notBegun, inTheWay);
      if (after.end === 'reached') return { watched, forced: refusal === undefined };
    }
  }
  const { outcome, notes } = await reverse(context, manager, name, action, inTheWay);
  throw new KstitchError(
    'load-timed-out',
    `load '${name}': the transition did not end within ${request.timeoutSeconds} s and ${outcome}`,
    { notes },
  );

  function stopIfReversed({ end }: Watched): void {
    if (end !== 'other') return;
    action.end('load-reversed');
    throw new KstitchError('load-reversed', `load '${name}': somebody else reversed it`);
  }
}

/** @returns what became of the transition, for messages, and the notes with what the kernel said against it */
async function reverse(
  { progress, diagnostics }: Context,
  { machine }: Manager,
  name: string,
  action: JournalAction,
  notes: readonly string[] = [],
): Promise<{ readonly outcome: string; readonly notes: readonly string[] }> {
  // The kernel refuses where it ended just now and another began, or somebody else was quicker.
  const refusal = writeIfAllowed(machine, `${livepatchFolder}/${name}/enabled`, '0');
  if (refusal !== undefined) {
    const all = [...notes, refusal];
    action.end('not reversed', all);
    return { outcome: 'could not be reversed', notes: all };
  }
  // The interrupted run's signal must not end this too.
  const context = { progress, diagnostics, signal: new AbortController().signal };
  const { end } = await watchTransition(context, machine, name, 'gone', times.stuck);
  action.end(end === 'reached' ? 'reversed' : 'being reversed', notes);
  return { outcome: end === 'reached' ? 'was reversed' : 'is being reversed', notes };
}

/** @throws KstitchError - `load-not-in-force` */
function confirm(
  { machine }: Manager,
  name: string,
  action?: JournalAction,
): { readonly livepatch: string; readonly attestation?: Attestation } {
  const attestation = attest(machine, name);
  if (attestation !== undefined && attestation.verdict !== 'not in force')
    return { livepatch: name, attestation };
  action?.end('load-not-in-force');
  const functions = attestation?.functions.filter(({ state }) => state === 'not in force') ?? [];
  throw new KstitchError(
    'load-not-in-force',
    `load '${name}': the kernel calls it active, and yet it is not in force`,
    { notes: functions.map(({ object, name: one }) => `${object}: ${one}() is not redirected by livepatch`) },
  );
}
