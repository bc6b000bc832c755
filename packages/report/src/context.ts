import type { Diagnostic } from './diagnostic.ts';

/** Shows what is going on while it takes its time, and keeps how long each step took for `--timing`. */
export interface Progress {
  /**
   * Runs one named step. Steps may nest and may run beside each other.
   *
   * @param label - what is being done, in the user's words: `compile fs/ext4/mballoc.c`
   * @param work - the work; `update` replaces the detail shown behind the label
   * @returns what `work` returns; its failure passes through
   */
  step<T>(label: string, work: (update: (detail: string) => void) => Promise<T>): Promise<T>;
  /** A line that stays: `using snapshot archive …`. */
  note(line: string): void;
}

/** What every stage that does I/O is handed: no options of its own, nothing global. */
export interface Context {
  readonly progress: Progress;
  /** Aborted by Ctrl-C or SIGTERM: every subprocess is ended, every temporary file removed. */
  readonly signal: AbortSignal;
  /** Cautions and notes of the run, in the order found; refusals are thrown instead. */
  readonly diagnostics: Diagnostic[];
}

/** A context that shows nothing: for tests and for callers that keep their own time. */
export function silentContext(signal: AbortSignal = new AbortController().signal): Context {
  return {
    progress: { step: (_label, work) => work(() => {}), note: () => {} },
    signal,
    diagnostics: [],
  };
}
