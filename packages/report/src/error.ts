import { type Code, describeCode } from './catalogue.ts';
import { ExitStatus } from './exit-status.ts';

export interface KstitchErrorOptions {
  /** What was caught on the way, kept for `--debug`. */
  readonly cause?: unknown;
  /** Further lines below the message: the compiler's words, the list of candidates. */
  readonly notes?: readonly string[];
  /** Replaces the catalogue's help where the place knows better what to do. */
  readonly help?: string;
}

/**
 * Whatever stops kstitch and is not a finding about the patch (those are {@link Diagnostic}s).
 *
 * The message states the action that failed and quotes the values involved; it has no full stop.
 */
export class KstitchError extends Error {
  override readonly name = 'KstitchError';
  readonly code: Code;
  readonly notes: readonly string[];
  readonly help: string;

  constructor(code: Code, message: string, options: KstitchErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.notes = options.notes ?? [];
    this.help = options.help ?? describeCode(code).help;
  }

  get exitStatus(): ExitStatus {
    return exitStatusOf(this.code);
  }
}

/**
 * @param code - a code of the catalogue
 * @returns the exit status of a run that this code ends; cautions and notes end none, so they give 0
 */
export function exitStatusOf(code: Code): ExitStatus {
  const { kind } = describeCode(code);
  switch (kind) {
    case 'error':
      return ExitStatus.error;
    case 'refusal':
      return ExitStatus.refused;
    case 'nothing':
      return ExitStatus.nothingToDo;
    case 'retry':
      return ExitStatus.tryAgain;
    case 'timed-out':
      return ExitStatus.timedOutAndReversed;
    case 'usage':
      return ExitStatus.usage;
    case 'interrupted':
      return ExitStatus.interrupted;
    case 'caution':
    case 'note':
      return ExitStatus.done;
  }
}
