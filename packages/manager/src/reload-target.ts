/**
 * Loads a patched module again on a kernel that cannot do so while the livepatch is active (before 6.3): the livepatch is taken
 * out of force, the module removed and loaded, the livepatch removed and loaded. Each step is in the journal before the next
 * begins, so that the same command goes on where another was killed; and whatever fails on the way, the livepatch is put back.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '@kstitch/host/run';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import type { Attestation } from './attest.ts';
import { beginAction, type JournalAction, recordEvent } from './journal.ts';
import { readUptime } from './kernel-identity.ts';
import { readKernelLog } from './kernel-log.ts';
import { times } from './limits.ts';
import { enableLivepatch } from './load.ts';
import type { Machine } from './machine.ts';
import { alone, disabledAt, type Manager } from './manager.ts';
import { planReload, type ReloadPlan } from './plan-reload.ts';
import { isModuleLoaded, readLivepatch, readPhase } from './read-livepatches.ts';
import { removeModule, systemPath } from './remove-module.ts';
import { findUnfinishedReload, reloadSteps, targetOnly, type UnfinishedReload } from './unfinished-reload.ts';
import { disableLivepatch } from './unload.ts';

export interface ReloadRequest {
  /** The module, as the kernel names it. */
  readonly target: string;
  /** For each transition. */
  readonly timeoutSeconds: number;
  /** Between disabling the livepatch and removing its module. */
  readonly graceSeconds: number;
  /** Asked before anything is changed. */
  readonly confirm: (plan: ReloadPlan) => Promise<boolean>;
}

export interface ReloadResult {
  readonly target: string;
  readonly livepatch: string;
  readonly fixes: readonly string[];
  /** For how long the fixes were not in force. */
  readonly inactiveSeconds: number;
  readonly attestation?: Attestation;
}

/**
 * @throws Refusal - by the plan: `reload-livepatch-stays`, `reload-module-busy`, `reload-module-unknown`, `load-*`
 * @throws KstitchError - `reload-not-needed`, `reload-declined`, `reload-module-failed`: the livepatch is in force again;
 *   `reload-not-restored`: it is not; `unload-timed-out`, `unload-reversed`: nothing was done; `machine-*`, `host-*`, `interrupted`
 */
export async function reloadTarget(
  context: Context,
  manager: Manager,
  request: ReloadRequest,
): Promise<ReloadResult> {
  const { target } = request;
  return await alone(context, manager, async entries => {
    const { machine, journal, kernel } = manager;
    const unfinished = findUnfinishedReload(machine, entries, kernel.bootId);
    const plan = await planReload(manager, target, request.graceSeconds, unfinished);
    if (plan.unfinished === undefined && (await loadMissing(context, manager, plan)))
      return { target, livepatch: plan.livepatch, fixes: plan.fixes, inactiveSeconds: 0 };
    if (!(await request.confirm(plan)))
      throw new KstitchError('reload-declined', `reload '${target}': not confirmed`);
    const { livepatch } = plan;
    const began = performance.now();
    const earlierSeconds = plan.unfinished === undefined ? 0 : secondsSince(machine, plan.unfinished);
    const action = beginAction(journal, kernel, 'reload', livepatch, context.diagnostics, target);

    // What an earlier run left to be done: perhaps only to put the livepatch back.
    const reloaded = plan.unfinished?.reloaded === true;
    const phase = reloaded ? undefined : readPhase(machine, livepatch);
    let disabled = phase === undefined ? disabledAt(entries, kernel.bootId, livepatch) : undefined;
    let failure: unknown;
    let outOfForce = phase === undefined;
    try {
      if (phase !== undefined) {
        const { timeoutSeconds } = request;
        const begin = phase !== 'disabling';
        await disableLivepatch(context, manager, { name: livepatch, timeoutSeconds }, action, begin);
        outOfForce = true;
        disabled = readUptime(manager.machine);
        action.step(reloadSteps.disabled);
      }
      if (reloaded) action.step(reloadSteps.targetLoaded);
      else await loadAgain(manager, target, action);
    } catch (error) {
      // Disabling takes itself back, unless it had come to its end by then.
      if (!outOfForce && readPhase(machine, livepatch) !== undefined) throw error;
      failure = error;
    }

    // Beyond this point the livepatch is out of force; neither Ctrl-C nor a failure may leave it so.
    const { progress, diagnostics } = context;
    const steady: Context = { progress, diagnostics, signal: new AbortController().signal };
    const attestation = await putBack(steady, manager, plan, request, action, disabled);
    action.end('restored');
    if (failure !== undefined) throw failure;
    return {
      target,
      livepatch,
      fixes: plan.fixes,
      inactiveSeconds: earlierSeconds + (performance.now() - began) / 1000,
      ...(attestation === undefined ? {} : { attestation }),
    };
  });
}

/** Not by the clock of the day where it can be helped: it may have been set. */
function secondsSince(machine: Machine, { since, sinceUptime }: UnfinishedReload): number {
  return sinceUptime === undefined ? (Date.now() - since) / 1000 : readUptime(machine) - sinceUptime;
}

/**
 * A module that is only not there loads as ever when the livepatch is younger than its removal; otherwise the kernel refuses it,
 * and nothing has happened.
 */
async function loadMissing(
  { diagnostics }: Context,
  manager: Manager,
  { target, livepatch }: ReloadPlan,
): Promise<boolean> {
  if (isModuleLoaded(manager.machine, target)) return false;
  try {
    await run('modprobe', [target], { env: systemPath() });
  } catch (error) {
    if (!(error instanceof KstitchError) || error.code !== 'host-tool-failed') throw error;
    return false;
  }
  recordEvent(manager, 'reload', livepatch, diagnostics, targetOnly, [`only '${target}' was not loaded`]);
  return true;
}

/** @throws KstitchError - `reload-module-failed`; `machine-*` */
async function loadAgain({ machine }: Manager, target: string, action: JournalAction): Promise<void> {
  const since = readUptime(machine);
  let loaded = isModuleLoaded(machine, target);
  try {
    if (loaded) {
      await run('rmmod', [target], { env: systemPath() });
      loaded = false;
      action.step(reloadSteps.targetRemoved);
    }
    await run('modprobe', [target], { env: systemPath() });
    action.step(reloadSteps.targetLoaded);
  } catch (error) {
    if (!(error instanceof KstitchError)) throw error;
    const how = loaded ? 'it could not be removed' : 'it is not loaded now, for it could not be loaded again';
    throw new KstitchError('reload-module-failed', `reload '${target}': ${how}`, {
      notes: [...error.notes, ...readKernelLog(machine, since, [target, 'livepatch'])],
      cause: error,
    });
  }
}

async function putBack(
  context: Context,
  manager: Manager,
  { target, livepatch }: ReloadPlan,
  { timeoutSeconds, graceSeconds }: ReloadRequest,
  action: JournalAction,
  /** Fixed here where nobody knows it: each look would begin the grace time anew. */
  disabled: number = readUptime(manager.machine),
): Promise<Attestation | undefined> {
  const fail = (notes: readonly string[], cause?: unknown) =>
    new KstitchError('reload-not-restored', `reload '${target}': '${livepatch}' could not be put back`, {
      notes,
      cause,
    });
  // The first removal alone may take the grace time.
  const until = performance.now() + (graceSeconds + times.stuck) * 1000;
  try {
    for (;;) {
      const phase = readLivepatch(manager.machine, livepatch)?.phase;
      if (phase !== 'disabled' && phase !== 'held') break;
      const removal = await removeModule(context, manager, {
        name: livepatch,
        graceSeconds,
        disabledAt: disabled,
      });
      if (removal.removed) break;
      // A task in its code leaves it sooner or later.
      if (performance.now() > until) {
        action.end('reload-not-restored', removal.reasons);
        throw fail(removal.reasons);
      }
      await sleep(times.betweenLooks * 1000, undefined, { signal: context.signal });
    }
    return (await enableLivepatch(context, manager, livepatch, { timeoutSeconds }, action)).attestation;
  } catch (error) {
    if (!(error instanceof KstitchError) || error.code === 'reload-not-restored') throw error;
    throw fail([error.message, ...error.notes], error);
  }
}
