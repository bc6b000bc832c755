import type { CallbackKind } from '@kstitch/kernel/klp-callbacks';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import type { Atom, Unit } from '../unit/atom.ts';

/** A callback that the livepatch brings. */
export interface SelectedCallback {
  readonly kind: CallbackKind;
  readonly atom: Atom;
}

/**
 * @param isNew - whether a function of the unit is not in the running kernel
 * @returns the callbacks, and a refusal for each that is no function that the patch adds to the unit
 */
export function selectCallbacks(
  { name: unit, requests }: Unit,
  isNew: (atom: Atom) => boolean,
): { readonly callbacks: readonly SelectedCallback[]; readonly diagnostics: readonly Diagnostic[] } {
  const callbacks: SelectedCallback[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const { kind, target } of requests.callbacks) {
    const atom = target.kind === 'atom' ? target.atom : undefined;
    if (atom?.kind === 'function' && target.offset === atom.entry && isNew(atom)) {
      callbacks.push({ kind, atom });
      continue;
    }
    const symbol = target.kind === 'atom' ? target.atom.name : target.name;
    const text = `the ${kind} callback ${symbol}() is no function that the patch adds to ${unit}`;
    diagnostics.push(diagnostic('callback-not-new', { unit, symbol: `${symbol}()` }, text));
  }
  return { callbacks, diagnostics };
}
