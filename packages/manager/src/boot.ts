/**
 * What happens to the installed livepatch when its kernel boots: it is loaded as `kstitch load` loads it, behind a guard that lies on
 * the disk until the machine has lived with it for a while. A boot that finds a guard of an earlier one knows that the livepatch
 * may be what ended it, and leaves it out.
 */
import type { Context } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { ExitStatus } from '@kstitch/report/exit-status';
import { bootResults } from './boot-status.ts';
import { readConfig } from './config.ts';
import { type Guard, hasTripped, Installed, whyTripped } from './installed.ts';
import { recordEvent } from './journal.ts';
import { readKillSwitch } from './kill-switch.ts';
import { type LoadResult, loadLivepatch } from './load.ts';
import type { Machine } from './machine.ts';
import { alone, type Manager } from './manager.ts';
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
 * @throws Refusal, KstitchError - what {@link loadLivepatch} throws; `boot-guard-tripped`, `boot-oops`, `install-damaged`,
 *   `config-malformed`, `host-*`, `interrupted`
 */
export async function bootLivepatch(context: Context, manager: Manager): Promise<BootResult> {
  return await boot(context, manager, true);
}

async function boot(context: Context, manager: Manager, mayTryAgain: boolean): Promise<BootResult> {
  const { machine, kernel } = manager;
  const found = new Installed(manager.stateDirectory).read(kernel.release);
  if (found === undefined) return { result: 'nothing' };
  const note = (result: string, notes: readonly string[] = []): void =>
    recordEvent(manager, 'boot', found.livepatch ?? 'unknown', context.diagnostics, result, notes);

  const switchedOff = readKillSwitch(machine);
  if (switchedOff !== undefined) {
    note(bootResults.off, [switchedOff]);
    return { result: 'switched off', switchedOff };
  }

  let retry: number;
  try {
    const load = await loadGuarded(context, manager, found.livepatch);
    note(bootResults.settled);
    return { result: 'settled', livepatch: load.livepatch, load };
  } catch (error) {
    const { code, words, passes } = describe(error, context.signal);
    ({ retry } = passes ? (await readConfig(machine)).boot : { retry: 0 });
    if (!mayTryAgain || retry === 0) {
      note(code, words);
      throw error;
    }
    const again = new Date(Date.now() + retry * 1000);
    note(bootResults.again, [`at ${again.toISOString()}`, ...words]);
  }
  await waitFor(context, 'wait until it is tried again', retry);
  return await boot(context, manager, false);
}

async function loadGuarded(
  context: Context,
  manager: Manager,
  livepatch: string | undefined,
): Promise<LoadResult> {
  const { machine, kernel } = manager;
  const { grace, boot: settings } = await readConfig(machine);
  const installed = new Installed(manager.stateDirectory);
  const files = await readFiles(manager, livepatch);
  const diedBefore = hasDied(machine);
  const guard: Guard = { livepatch: files.name, boot: kernel.bootId, at: new Date().toISOString() };
  await alone(context, manager, async () => {
    const earlier = installed.readGuard(kernel.release);
    if (hasTripped(earlier, files.name, kernel.bootId))
      throw new KstitchError(
        'boot-guard-tripped',
        `boot '${kernel.release}': '${files.name}' is left out: ${whyTripped(earlier)}`,
      );
    await installed.writeGuard(kernel.release, guard);
  });

  try {
    const load = await loadLivepatch(context, manager, {
      files,
      what: `${files.name}.json`,
      timeoutSeconds: settings.timeout,
      graceSeconds: grace,
      drop: [],
      dryRun: false,
    });
    await waitFor(context, 'wait until it has settled', settings.settled);
    return load;
  } finally {
    await liftGuard();
  }

  /** However it ended, with the machine alive. Most oopses do not take it down (kernel.panic_on_oops is 0), and yet half of it. */
  async function liftGuard(): Promise<void> {
    if (diedBefore || !hasDied(machine)) {
      await installed.removeGuard(kernel.release);
      return;
    }
    const reason = `the kernel had an oops within ${settings.settled} s of loading`;
    await installed.writeGuard(kernel.release, { ...guard, reason: `${reason} it` });
    throw new KstitchError('boot-oops', `boot '${kernel.release}': ${reason} '${files.name}'`);
  }
}

async function readFiles(
  { store, kernel }: Manager,
  livepatch: string | undefined,
): Promise<LivepatchFiles & { readonly name: string }> {
  const what = `boot '${kernel.release}'`;
  if (livepatch === undefined)
    throw new KstitchError('install-damaged', `${what}: the file that names what is installed is damaged`);
  const files = store.read(livepatch);
  if (files === undefined || (await store.bundle(livepatch)) === undefined)
    throw new KstitchError(
      'install-damaged',
      `${what}: '${livepatch}' is installed, and its module or record is missing or damaged`,
    );
  return { ...files, name: livepatch };
}

/** Documentation/admin-guide/tainted-kernels.rst: the kernel died recently, an oops or a BUG. */
const taintDied = 1 << 7;

function hasDied(machine: Machine): boolean {
  return (Number(machine.read('/proc/sys/kernel/tainted') ?? 0) & taintDied) !== 0;
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
