/**
 * What happens to the installed livepatch when its kernel boots: it is loaded as `kstitch load` loads it, behind a guard that lies on
 * the disk until the machine has lived with it for a while. A boot that finds a guard of an earlier one knows that the livepatch
 * may be what ended it, and leaves it out.
 */

import type { Code } from '@kstitch/report/catalogue';
import type { Context } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { ExitStatus } from '@kstitch/report/exit-status';
import { bootResults, tellWhen } from './boot-status.ts';
import { type Config, readConfig } from './config.ts';
import { type Guard, hasTripped, Installed, type InstalledEntry, whyTripped } from './installed.ts';
import { recordEvent } from './journal.ts';
import { readKillSwitch } from './kill-switch.ts';
import { type LoadResult, loadAlone } from './load.ts';
import { alone, type Manager } from './manager.ts';
import { hadOops, type Oopses, readOopses } from './oopses.ts';
import { readPhase } from './read-livepatches.ts';
import type { LivepatchFiles } from './store.ts';
import { waitFor } from './wait-for.ts';

export interface BootResult {
  /** `nothing`: none is installed for this kernel. `switched off`: by the kernel's command line or a file. */
  readonly result: 'nothing' | 'switched off' | 'settled';
  readonly livepatch?: string;
  readonly switchedOff?: string;
  readonly load?: LoadResult;
}

/**
 * Loads what is installed for the running kernel. What another try may get round, a transition that did not end above all, is tried
 * once more later on; by then it may have been switched off, uninstalled, or loaded.
 *
 * @returns when it has settled
 * @throws Refusal, KstitchError - what {@link loadAlone} throws; `boot-guard-tripped`, `boot-oops`, `install-damaged`,
 *   `config-malformed`, `host-*`, `interrupted`
 */
export async function bootLivepatch(context: Context, manager: Manager): Promise<BootResult> {
  return await boot(context, manager, true);
}

async function boot(context: Context, manager: Manager, mayTryAgain: boolean): Promise<BootResult> {
  const trial = look(manager);
  const note = (result: string, notes: readonly string[] = []): void =>
    recordEvent(manager, 'boot', trial.entry?.livepatch ?? 'unknown', context.diagnostics, result, notes);

  let retry: number;
  let why: readonly string[];
  try {
    // Nobody is waited for where nothing is to be loaded.
    const load = mayLoad(trial) ? await loadGuarded(context, manager, trial) : undefined;
    if (load !== undefined) {
      note(bootResults.settled);
      return { result: 'settled', livepatch: load.livepatch, load };
    }
    const { entry, switchedOff } = trial;
    if (entry === undefined || switchedOff === undefined) return { result: 'nothing' };
    note(bootResults.off, [switchedOff]);
    return { result: 'switched off', switchedOff };
  } catch (error) {
    const { code, words, passes } = describe(error, context.signal);
    why = words;
    // Where the module may not be removed the second would find its name taken.
    const stays = trial.removable === false && leavesModule.includes(code);
    retry = mayTryAgain && passes && !stays ? (trial.config?.boot.retry ?? 0) : 0;
    if (retry === 0) {
      note(code, words);
      throw error;
    }
    note(bootResults.again, [tellWhen(manager.machine, retry), ...words]);
  }
  try {
    await waitFor(context, 'wait until it is tried again', retry);
  } catch (error) {
    note(describe(error, context.signal).code, ['it was stopped before its second try', ...why]);
    throw error;
  }
  return await boot(context, manager, false);
}

/** Its livepatch is disabled then, and its module still there. */
const leavesModule: readonly string[] = ['load-timed-out', 'load-name-taken'] satisfies Code[];

/** What one try has found out; who ends it tells of that, also where it fails. */
interface Trial {
  entry: InstalledEntry | undefined;
  switchedOff: string | undefined;
  config?: Config;
  /** Whether its module may be removed. */
  removable?: boolean;
}

function look({ machine, kernel, stateDirectory }: Manager): Trial {
  return {
    entry: new Installed(stateDirectory).read(kernel.release),
    switchedOff: readKillSwitch(machine),
  };
}

function mayLoad(trial: Trial): trial is Trial & { entry: InstalledEntry } {
  return trial.entry !== undefined && trial.switchedOff === undefined;
}

/** @returns undefined when there is nothing to load, or nothing may be loaded, any more */
async function loadGuarded(
  context: Context,
  manager: Manager,
  trial: Trial,
): Promise<LoadResult | undefined> {
  const { machine, kernel } = manager;
  const installed = new Installed(manager.stateDirectory);
  const config = await readConfig(machine);
  trial.config = config;
  const { settled, timeout } = config.boot;
  const guards: { readonly guard: Guard; readonly oopses: Oopses; readonly isSettledByAnother: boolean }[] =
    [];
  let load: LoadResult | undefined;
  let hasSettled = false;
  try {
    // From the decision to the guard and the load: in between nobody uninstalls it, and takes the guard away with it.
    load = await alone(context, manager, async entries => {
      // Whoever held the lock may have changed all that was seen before.
      Object.assign(trial, look(manager));
      if (!mayLoad(trial)) return undefined;
      const { name, removable, ...files } = await readFiles(manager, trial.entry.livepatch);
      trial.removable = removable;
      const earlier = installed.readGuard(kernel.release);
      if (hasTripped(earlier, name, kernel.bootId))
        throw new KstitchError(
          'boot-guard-tripped',
          `boot '${kernel.release}': '${name}' is left out: ${whyTripped(earlier)}`,
        );
      const request = {
        files,
        what: `${name}.json`,
        timeoutSeconds: timeout,
        graceSeconds: config.grace,
        drop: [],
      };
      return await loadAlone(context, manager, request, entries, () => guard(name)).catch(
        (error: unknown) => {
          if (error instanceof SwitchedOff) return undefined;
          throw error;
        },
      );
    });
    if (load !== undefined) await waitFor(context, 'wait until it has settled', settled);
    hasSettled = true;
    return load;
  } finally {
    // Who found it in force and ends early knows nothing: whoever loaded it may still be waiting until it has settled.
    for (const { guard: set, oopses, isSettledByAnother } of guards)
      if (hasSettled || !isSettledByAnother) await liftGuard(set, oopses);
  }

  async function guard(livepatch: string): Promise<void> {
    // The one thing that no lock keeps as it is; there was the time of a preflight for it, or the grace time.
    trial.switchedOff = readKillSwitch(machine);
    if (trial.switchedOff !== undefined) throw new SwitchedOff();
    const found = installed.readGuard(kernel.release);
    const isAnothers = found?.livepatch === livepatch && found.boot === kernel.bootId;
    const set = isAnothers ? found : { livepatch, boot: kernel.bootId, at: new Date().toISOString() };
    const isSettledByAnother = isAnothers && readPhase(machine, livepatch) === 'active';
    guards.push({ guard: set, oopses: readOopses(machine), isSettledByAnother });
    if (!isAnothers) await installed.writeGuard(kernel.release, set);
  }

  /** However it ended, with the machine alive. Most oopses do not take it down (kernel.panic_on_oops is 0), and yet half of it. */
  async function liftGuard(set: Guard, before: Oopses): Promise<void> {
    const oops = hadOops(before, readOopses(machine));
    // What another has found meanwhile, about a time that this one did not see, stays.
    if (oops === false && installed.readGuard(kernel.release)?.reason !== undefined) return;
    if (oops === false) {
      await installed.removeGuard(kernel.release);
      return;
    }
    const within = `within ${settled} s of loading`;
    const reason = oops
      ? `the kernel had an oops ${within}`
      : `the kernel had an oops before, so that nobody knows of one ${within}`;
    await installed.writeGuard(kernel.release, { ...set, reason: `${reason} it` });
    throw new KstitchError('boot-oops', `boot '${kernel.release}': ${reason} '${set.livepatch}'`);
  }
}

class SwitchedOff extends Error {}

async function readFiles(
  { store, kernel }: Manager,
  livepatch: string | undefined,
): Promise<LivepatchFiles & { readonly name: string; readonly removable: boolean }> {
  const what = `boot '${kernel.release}'`;
  if (livepatch === undefined)
    throw new KstitchError('install-damaged', `${what}: the file that names what is installed is damaged`);
  const files = store.read(livepatch);
  const bundle = await store.bundle(livepatch);
  if (files === undefined || bundle === undefined)
    throw new KstitchError(
      'install-damaged',
      `${what}: '${livepatch}' is installed, and its module or record is missing or damaged`,
    );
  return { ...files, name: livepatch, removable: bundle.unload.verdict === 'safe' };
}

function describe(error: unknown, signal: AbortSignal) {
  if (!(error instanceof KstitchError))
    return { code: signal.aborted ? 'interrupted' : 'internal-error', words: [String(error)], passes: false };
  const { code, message, notes, exitStatus } = error;
  const words =
    error instanceof Refusal
      ? error.diagnostics.filter(({ severity }) => severity === 'refusal').map(({ text }) => text)
      : [message, ...notes];
  const passes = exitStatus === ExitStatus.timedOutAndReversed || exitStatus === ExitStatus.tryAgain;
  return { code, words, passes };
}
