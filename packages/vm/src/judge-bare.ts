/** What the boot without the livepatch shows: the bug is there, or the proof is over. */
import { diagnostic, Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { baseFunctionName, type Splat } from './kernel-log.ts';
import { endingText, type MachineRun } from './run-machine.ts';

/** How the bug showed. */
export type Presence = 'status' | 'crash' | 'timeout';

export interface BareExpectations {
  readonly timeoutSeconds: number;
  /** Function that an oops must name. */
  readonly expectOops?: string | undefined;
  /** Where the whole log lies, for messages. */
  readonly logPath: string;
}

/**
 * @returns how the bug showed: a crash and no end in time count as present
 * @throws KstitchError - `prove-reproducer-invalid`
 * @throws Refusal - `prove-not-reproduced`, `prove-other-oops`
 */
export function judgeBareRun(run: MachineRun, expectations: BareExpectations): Presence {
  const presence = presenceIn(run, expectations);
  const { expectOops, logPath } = expectations;
  if (expectOops !== undefined) {
    const oopses = run.splats.filter(({ kind }) => kind === 'oops');
    if (!oopses.some(splat => namesFunction(splat, expectOops))) {
      throw new Refusal([otherOops(oopses, expectOops, logPath)]);
    }
  }
  return presence;
}

function presenceIn(run: MachineRun, { logPath }: BareExpectations): Presence {
  const notes = [logNote(logPath)];
  const invalid = (how: string) =>
    new KstitchError('prove-reproducer-invalid', `run the reproducer on the bare kernel: ${how}`, { notes });
  const { ending } = run;
  if (ending.kind === 'crashed' || ending.kind === 'reset') return 'crash';
  if (ending.kind === 'restarted') throw invalid('it restarted the machine');

  const result = run.frames.find(({ kind }) => kind === 'reproducer');
  if (result?.rest === 'timeout' || (ending.kind === 'hung' && result === undefined)) return 'timeout';
  const status = result?.values.get('status');
  if (status === '1') return 'status';
  if (status !== '0')
    throw invalid(status === undefined ? endingText(ending) : `it ended with status ${status}`);
  // It passed, and then its file system could not be unmounted.
  if (ending.kind === 'hung') return 'timeout';
  throw new Refusal([
    diagnostic('prove-not-reproduced', {}, 'the reproducer passes on the bare kernel', { notes }),
  ]);
}

function otherOops(oopses: readonly Splat[], expected: string, logPath: string) {
  const [first] = oopses;
  const what =
    first === undefined
      ? `the bare kernel did not crash in '${expected}': its log has no oops`
      : `the bare kernel crashed in '${first.function ?? 'an unknown function'}', not in '${expected}'`;
  return diagnostic(
    'prove-other-oops',
    first?.function === undefined ? {} : { symbol: `${first.function}()` },
    what,
    {
      notes: [...oopses.map(({ headline }) => headline), logNote(logPath)],
    },
  );
}

function namesFunction(splat: Splat, expected: string): boolean {
  const found = splat.function;
  return (
    found !== undefined && (found === expected || baseFunctionName(found) === baseFunctionName(expected))
  );
}

/** @returns the note that every finding about a boot ends with */
export function logNote(logPath: string): string {
  return `the whole log: ${logPath}`;
}
