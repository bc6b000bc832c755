import { type Code, describeCode } from './catalogue.ts';
import { KstitchError } from './error.ts';

/** Where a finding is, as far as it is known. */
export interface Place {
  /** The object: `vmlinux` or a module's name. */
  readonly object?: string;
  /** The unit, as a path below the kernel source: `fs/ext4/mballoc.c`. */
  readonly unit?: string;
  /** A function or a data object, printed as `function()+0x1c` or by name. */
  readonly symbol?: string;
  /** Byte offset within the symbol. */
  readonly offset?: number;
  readonly section?: string;
  readonly file?: string;
  readonly line?: number;
}

/** A finding about the patch or the kernel: something refused, or something its reader must know. */
export interface Diagnostic {
  readonly code: Code;
  readonly severity: 'refusal' | 'caution' | 'note';
  readonly place: Place;
  /** One sentence without a full stop. */
  readonly text: string;
  readonly notes: readonly string[];
  /** What to do about it. */
  readonly help: string;
}

/**
 * @param code - a code whose kind is `refusal`, `nothing`, `caution` or `note`
 * @param text - one sentence without a full stop
 * @returns the finding, its severity and help taken from the catalogue
 */
export function diagnostic(
  code: Code,
  place: Place,
  text: string,
  options: { readonly notes?: readonly string[]; readonly help?: string } = {},
): Diagnostic {
  const { kind, help } = describeCode(code);
  const severity = kind === 'caution' || kind === 'note' ? kind : 'refusal';
  return { code, severity, place, text, notes: options.notes ?? [], help: options.help ?? help };
}

/** Thrown at the end of a phase that found something to refuse; carries all findings of that phase, sorted. */
export class Refusal extends KstitchError {
  readonly diagnostics: readonly Diagnostic[];

  constructor(diagnostics: readonly Diagnostic[]) {
    const refusals = diagnostics.filter(d => d.severity === 'refusal');
    const first = refusals[0];
    if (first === undefined) throw new RangeError('Refusal needs at least one diagnostic that refuses');
    const more = refusals.length - 1;
    super(first.code, more === 0 ? first.text : `${first.text} (and ${more} more)`, { help: first.help });
    this.diagnostics = diagnostics.toSorted(compareDiagnostics);
  }
}

/**
 * Ends a phase: findings that refuse stop the run here, all shown together.
 *
 * @throws Refusal - when at least one finding has severity `refusal`
 */
export function stopOnRefusals(diagnostics: readonly Diagnostic[]): void {
  if (diagnostics.some(d => d.severity === 'refusal')) throw new Refusal(diagnostics);
}

const severityOrder = { refusal: 0, caution: 1, note: 2 } as const;

/** Order of printing: the worst first, then by place, so that the same findings always read the same. */
export function compareDiagnostics(a: Diagnostic, b: Diagnostic): number {
  return (
    severityOrder[a.severity] - severityOrder[b.severity] ||
    compareText(a.place.object, b.place.object) ||
    compareText(a.place.unit, b.place.unit) ||
    compareText(a.place.symbol, b.place.symbol) ||
    (a.place.offset ?? 0) - (b.place.offset ?? 0) ||
    compareText(a.code, b.code) ||
    compareText(a.text, b.text)
  );
}

function compareText(a: string | undefined, b: string | undefined): number {
  const left = a ?? '';
  const right = b ?? '';
  return left < right ? -1 : left > right ? 1 : 0;
}
