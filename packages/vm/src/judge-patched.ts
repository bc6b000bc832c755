/** What the boot with the livepatch shows: that it works and comes and goes in peace, or where it does not. */
import type { Proof, ProofRun } from '@kstitch/livepatch/proof';
import { type Diagnostic, diagnostic, Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { type Frame, numberIn } from './guest-channel.ts';
import { logNote } from './judge-bare.ts';
import { isFatal, type Splat, splitTimeStamp } from './kernel-log.ts';
import { endingText, type MachineRun } from './run-machine.ts';

export interface PatchedExpectations {
  readonly module: string;
  readonly nonDestructive: boolean;
  /** Whether the module is removed and loaded again. */
  readonly removable: boolean;
  readonly timeoutSeconds: number;
  readonly transitionSeconds: number;
  /** Where the whole log lies, for messages. */
  readonly logPath: string;
}

export type PatchedEvidence = Pick<Proof['patched'], 'runs' | 'loads' | 'disableSeconds' | 'reloaded'> & {
  /** Reports of the bug itself, while the livepatch was not in force. */
  readonly splats: readonly Splat[];
};

type When = ProofRun['when'];

/** How many tasks that hold up a transition, or reports of faults, are shown. */
const MAX_SHOWN = 10;

/** Lines of the kernel's own words below a refusal. */
const MAX_KERNEL_LINES = 12;

/**
 * @throws KstitchError - `prove-reproducer-invalid`
 * @throws Refusal - `prove-splat`, `prove-load-refused`, `prove-transition-stuck`, `prove-still-present`, `prove-not-restored`,
 *   `prove-unload-failed`, `prove-incomplete`
 */
export function judgePatchedRun(run: MachineRun, expectations: PatchedExpectations): PatchedEvidence {
  const { logPath } = expectations;
  const { bugs, faults } = sortSplats(run.splats, expectations);

  // What the kernel itself complains about comes first: all that follows may be its consequence.
  if (faults.length > 0)
    throw new Refusal(faults.slice(0, MAX_SHOWN).map(splat => describeFault(splat, logPath)));

  // Then what the guest saw go wrong, of which there is one thing at most: it stops there.
  const finding =
    findRefused(run, expectations) ?? findStuck(run, expectations) ?? findUnremoved(run, logPath);
  if (finding !== undefined) throw new Refusal([finding]);
  const runs = planOf(expectations).flatMap(when => judgeReproducer(run, when, expectations));

  // Beyond this point all that was seen is well; it remains whether everything was seen.
  const loads = ['load', 'reload'].flatMap(name => readLoad(run, name, expectations));
  const disabled = frameOf(run, 'settled', 'disable-transition');
  const complete =
    run.ending.kind === 'finished' &&
    runs.length === planOf(expectations).length &&
    loads.length === (expectations.removable ? 2 : 1) &&
    (!expectations.removable || frameOf(run, 'unloaded', 'unload') !== undefined) &&
    disabled !== undefined;
  if (!complete) throw new Refusal([incomplete(`${endingText(run.ending)} at step ${run.step}`, logPath)]);
  const boots = new Set(
    run.frames.flatMap(({ kind, values }) => (kind === 'step' ? (values.get('boot') ?? []) : [])),
  );
  if (boots.size !== 1) throw new Refusal([incomplete('its boot id changed on the way', logPath)]);
  return {
    runs,
    loads,
    disableSeconds: transitionTimes(run.log, expectations.module, 'unpatching')[0] ?? elapsed(disabled),
    reloaded: expectations.removable,
    splats: bugs,
  };
}

/** The runs of the reproducer, in order. */
function planOf({ nonDestructive, removable }: PatchedExpectations): readonly When[] {
  return [
    ...(nonDestructive ? (['before'] as const) : []),
    'patched',
    ...(nonDestructive ? (['disabled'] as const) : []),
    ...(removable ? (['reloaded'] as const) : []),
  ];
}

/** Where the livepatch is not in force, a report is the bug's; anywhere else it is a fault. */
function sortSplats(splats: readonly Splat[], { nonDestructive, logPath }: PatchedExpectations) {
  const isBug = ({ step }: Splat) => nonDestructive && /-(?:before|disabled)$/.test(step ?? '');
  const bugs = splats.filter(isBug);
  const fatal = bugs.find(isFatal);
  if (fatal !== undefined) {
    throw new KstitchError(
      'prove-reproducer-invalid',
      'run the reproducer on the kernel without the livepatch: it was said to be non-destructive, and the kernel crashed',
      { notes: [fatal.headline, logNote(logPath)] },
    );
  }
  return { bugs, faults: splats.filter(splat => !isBug(splat)) };
}

function describeFault(splat: Splat, logPath: string): Diagnostic {
  const notes = [
    ...(splat.trace.length === 0
      ? []
      : [
          `called by: ${splat.trace
            .slice(0, MAX_SHOWN)
            .map(name => `${name}()`)
            .join(' < ')}`,
        ]),
    logNote(logPath),
  ];
  const place = splat.function === undefined ? {} : { symbol: `${splat.function}()` };
  // A crash under the reproducer is the bug, as it would be on the bare kernel.
  if (isFatal(splat) && /-(?:patched|reloaded)$/.test(splat.step ?? '')) {
    const text = `the bug is still there with the livepatch: the kernel crashed, ${splat.headline}`;
    return diagnostic('prove-still-present', place, text, { notes });
  }
  const at = splat.step === undefined ? 'while it booted' : `at step ${splat.step}`;
  return diagnostic('prove-splat', place, `the kernel reported a fault ${at}: ${splat.headline}`, { notes });
}

function findRefused(run: MachineRun, { module, logPath }: PatchedExpectations): Diagnostic | undefined {
  const refused = run.frames.find(({ kind }) => kind === 'refused');
  if (refused === undefined) return undefined;
  const again = refused.name === 'reload' ? ' a second time' : '';
  return diagnostic(
    'prove-load-refused',
    { object: module },
    `the kernel refuses to load the livepatch${again}`,
    {
      notes: [
        ...textsOf(run, 'insmod'),
        ...kernelWords(run.log, refused.name).map(line => `kernel: ${line}`),
        logNote(logPath),
      ],
    },
  );
}

function findStuck(
  run: MachineRun,
  { transitionSeconds, logPath }: PatchedExpectations,
): Diagnostic | undefined {
  const vanished = run.frames.find(({ kind }) => kind === 'vanished');
  if (vanished !== undefined) return incomplete('the kernel took the livepatch back by itself', logPath);
  const stuck = run.frames.find(({ kind }) => kind === 'stuck');
  if (stuck === undefined) return undefined;
  const blockers = blockersOf(run);
  const what = stuck.name.startsWith('disable') ? 'disabling' : 'the transition';
  const tasks = `${blockers.length} ${blockers.length === 1 ? 'task is' : 'tasks are'} in its way`;
  const more = blockers.length - MAX_SHOWN;
  return diagnostic(
    'prove-transition-stuck',
    {},
    `${what} did not end within ${transitionSeconds} s: ${tasks}`,
    {
      notes: [...blockers.slice(0, MAX_SHOWN), ...(more > 0 ? [`and ${more} more`] : []), logNote(logPath)],
    },
  );
}

/** @returns `kworker/0:1 (12): smpboot_thread_fn < kthread < ret_from_fork` for each task in the way */
function blockersOf(run: MachineRun): string[] {
  const tasks: { task: string; stack: string[] }[] = [];
  for (const { kind, name, rest } of run.frames) {
    if (kind !== 'text') continue;
    if (name === 'blocker') {
      const [id = '', ...words] = rest.split(' ');
      tasks.push({ task: `${words.join(' ')} (${id})`, stack: [] });
    } else if (name === 'blocker-stack') {
      const entry = /([\w.$]+)\+0x/.exec(rest)?.[1];
      if (entry !== undefined) tasks.at(-1)?.stack.push(entry);
    }
  }
  return tasks.map(({ task, stack }) => (stack.length === 0 ? task : `${task}: ${stack.join(' < ')}`));
}

function findUnremoved(run: MachineRun, logPath: string): Diagnostic | undefined {
  if (!run.frames.some(({ kind }) => kind === 'unremoved')) return undefined;
  return diagnostic(
    'prove-unload-failed',
    {},
    'the module could not be removed after the livepatch was disabled',
    {
      notes: [...textsOf(run, 'rmmod'), logNote(logPath)],
    },
  );
}

/** @returns the run, or nothing when it did not take place */
function judgeReproducer(run: MachineRun, when: When, expectations: PatchedExpectations): ProofRun[] {
  const { timeoutSeconds, logPath } = expectations;
  const notes = [logNote(logPath)];
  const result = frameOf(run, 'reproducer', when);
  const hung = run.ending.kind === 'hung' && run.step.endsWith(`-${when}`);
  if (result === undefined && !hung) {
    if (run.ending.kind === 'restarted' && run.step === `reproduce-${when}`) {
      throw new KstitchError(
        'prove-reproducer-invalid',
        `run the reproducer (${when}): it restarted the machine`,
        { notes },
      );
    }
    return [];
  }
  const late = hung || result?.rest === 'timeout';
  const status = result?.values.get('status');
  if (!late && status !== '0' && status !== '1') {
    throw new KstitchError(
      'prove-reproducer-invalid',
      `run the reproducer (${when}): it ended with status ${status ?? 'unknown'}`,
      { notes },
    );
  }
  const bug = late || status === '1' ? 'present' : 'absent';
  const expected = when === 'patched' || when === 'reloaded' ? 'absent' : 'present';
  if (late && expected === 'present') {
    throw new KstitchError(
      'prove-reproducer-invalid',
      `run the reproducer (${when}): it was said to be non-destructive, and did not end within ${timeoutSeconds} s`,
      { notes },
    );
  }
  if (bug !== expected) {
    const how = late
      ? `the reproducer did not end within ${timeoutSeconds} s`
      : `the reproducer ended with status ${status}`;
    throw new Refusal([
      expected === 'absent'
        ? diagnostic(
            'prove-still-present',
            {},
            `the bug is still there with the livepatch${when === 'reloaded' ? ' loaded again' : ''}: ${how}`,
            { notes },
          )
        : diagnostic(
            'prove-not-restored',
            {},
            when === 'before'
              ? 'the bug did not show before the livepatch was loaded'
              : 'the bug did not come back after the livepatch was disabled',
            { notes },
          ),
    ]);
  }
  return [{ when, bug, seconds: late ? timeoutSeconds : elapsed(result) }];
}

function readLoad(
  run: MachineRun,
  name: string,
  { module }: PatchedExpectations,
): Proof['patched']['loads'][number][] {
  const loaded = frameOf(run, 'loaded', name);
  const settled = frameOf(run, 'settled', `${name}-transition`);
  if (loaded === undefined || settled === undefined) return [];
  const stamped = transitionTimes(run.log, module, 'patching')[name === 'load' ? 0 : 1];
  return [{ insmodSeconds: elapsed(loaded), transitionSeconds: stamped ?? elapsed(settled) }];
}

/**
 * The kernel's own time stamps are finer than what the guest sees of sysfs, and cover the part of a transition that goes on
 * within insmod: `livepatch: 'NAME': starting patching transition`, `livepatch: 'NAME': patching complete`.
 *
 * @returns seconds of each transition of that kind, in order
 */
export function transitionTimes(log: string, module: string, kind: 'patching' | 'unpatching'): number[] {
  const times: number[] = [];
  let began: number | undefined;
  for (const line of log.split('\n')) {
    const { seconds, text } = splitTimeStamp(line);
    if (text === `livepatch: '${module}': starting ${kind} transition`) began = seconds;
    else if (
      text === `livepatch: '${module}': ${kind} complete` &&
      began !== undefined &&
      seconds !== undefined
    ) {
      times.push(Math.max(0, Number((seconds - began).toFixed(6))));
      began = undefined;
    }
  }
  return times;
}

/** What the kernel said between the beginning of a step and the next. */
function kernelWords(log: string, step: string): string[] {
  const texts = log.split('\n').map(line => ({ line, text: splitTimeStamp(line).text }));
  const from = texts.findIndex(({ text }) => text === `kstitch: step ${step}`);
  if (from < 0) return [];
  const behind = texts.slice(from + 1);
  const to = behind.findIndex(({ text }) => text.startsWith('kstitch: step '));
  return behind
    .slice(0, to < 0 ? undefined : to)
    .filter(({ line }) => !line.startsWith('guest> '))
    .map(({ text }) => text)
    .slice(-MAX_KERNEL_LINES);
}

function incomplete(how: string, logPath: string): Diagnostic {
  return diagnostic('prove-incomplete', {}, `the patched kernel did not finish: ${how}`, {
    notes: [logNote(logPath)],
  });
}

function frameOf(run: MachineRun, kind: string, name: string): Frame | undefined {
  return run.frames.find(frame => frame.kind === kind && frame.name === name);
}

function textsOf(run: MachineRun, key: string): string[] {
  return run.frames.filter(({ kind, name }) => kind === 'text' && name === key).map(({ rest }) => rest);
}

/** Seconds between `began` and `ended`; the guest's clock shows hundredths. */
function elapsed(frame: Frame | undefined): number {
  const began = numberIn(frame, 'began') ?? 0;
  const ended = numberIn(frame, 'ended') ?? began;
  return Math.max(0, Number((ended - began).toFixed(2)));
}
