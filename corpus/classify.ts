import type { BuildResult } from '@kstitch/build/build-livepatch';
import { type Code, describeCode } from '@kstitch/report/catalogue';
import { type Diagnostic, type Place, Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import type { BuiltModule, Finding, Outcome } from './file-result.ts';

/** What a build came to, without who built it and how long it took. */
export interface Classification {
  readonly outcome: Outcome;
  readonly code: string;
  readonly findings: readonly Finding[];
  readonly module?: BuiltModule;
}

export function classifyBuilt({ bundle }: Pick<BuildResult, 'bundle'>): Classification {
  return {
    outcome: 'built',
    code: '',
    findings: [],
    module: {
      name: bundle.module,
      objects: bundle.objects.map(object => object.name),
      functions: bundle.objects.reduce((sum, object) => sum + object.functions.length, 0),
      klpRelocations: bundle.klpRelocations,
      unload: bundle.unload.verdict,
    },
  };
}

/** Code of an exception that is none of kstitch's own. */
export const CRASH = 'crash';

/**
 * A difference that does not compile by itself needs another one, mostly of a header: no fault of anybody. Everything that
 * kstitch does not call a refusal is an error.
 */
export function classifyFailure(error: unknown): Classification {
  if (!(error instanceof KstitchError)) {
    const [text = '', ...stack] = String(error instanceof Error ? error.stack : error).split('\n');
    return { outcome: 'error', code: CRASH, findings: [{ code: CRASH, place: '', text, notes: stack }] };
  }
  const findings =
    error instanceof Refusal
      ? error.diagnostics.filter(d => d.severity === 'refusal').map(showDiagnostic)
      : [{ code: error.code, place: '', text: error.message, notes: error.notes }];
  return { outcome: outcomeOf(error.code), code: error.code, findings };
}

function outcomeOf(code: Code): Outcome {
  if (code === 'compile-error') return 'does not compile alone';
  if (code === 'no-functional-difference') return 'no difference';
  return describeCode(code).kind === 'refusal' ? 'refused' : 'error';
}

function showDiagnostic({ code, place, text, notes }: Diagnostic): Finding {
  return { code, place: showPlace(place), text, notes };
}

function showPlace({ object, unit, symbol, offset, section, file, line }: Place): string {
  const at = offset === undefined ? '' : `+0x${offset.toString(16)}`;
  const source = file === undefined ? undefined : `${file}${line === undefined ? '' : `:${line}`}`;
  return [object, unit, symbol === undefined ? undefined : `${symbol}${at}`, section, source]
    .filter(part => part !== undefined)
    .join(', ');
}
