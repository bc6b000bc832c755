/**
 * One line of the catalogue of everything kstitch can complain about.
 *
 * `kind` decides the exit status: an `error` stops at once; a `refusal` is a finding about the input that makes a
 * livepatch impossible or unsafe; `nothing` means there was nothing to do; `retry` that the machine does not allow it
 * now; `timed-out` that it took too long and was undone; `caution` and `note` never stop a run.
 */
export interface CatalogueEntry {
  readonly kind:
    | 'error'
    | 'refusal'
    | 'nothing'
    | 'retry'
    | 'timed-out'
    | 'usage'
    | 'interrupted'
    | 'caution'
    | 'note';
  /** What it means, one or two sentences, for docs/diagnostics.md. */
  readonly meaning: string;
  /** What the reader should do next; printed below every message with this code. */
  readonly help: string;
  /** A message as it is printed behind `error[code]:`, for docs/diagnostics.md. */
  readonly example: string;
}
