/**
 * Identity: functions that nobody changed count as changed, so that all stages behind the comparison have to carry them. A
 * livepatch that is made so must behave as the kernel does, whatever it holds: a test of those stages with real code.
 *
 * What a livepatch cannot carry is left out, each function for itself. Whether one can be carried shows when it is selected
 * alone; carried together, functions only call each other directly instead of through the running kernel.
 */
import type { Instructions } from '@kstitch/arch/instructions';
import type { Code } from '@kstitch/report/catalogue';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import type { PatchReason } from './select/carry-by-callers.ts';
import { select } from './select/select.ts';
import type { SelectInput } from './select/selection.ts';
import type { Atom } from './unit/atom.ts';
import { coldParentOf } from './unit/names.ts';

/** A function that an identity livepatch does not carry. */
export interface LeftOut {
  readonly name: string;
  /** `init-code`, `not-wanted`, or the code of what would be refused. */
  readonly why: Code | 'init-code' | 'not-wanted';
  /** One sentence without a full stop. */
  readonly text: string;
}

/** What there is to select from in a unit that is the same before and after. */
export type UnpatchedUnit = Omit<SelectInput, 'changed'>;

export interface Identity {
  /** Every function that can be carried, in unit order. */
  readonly carried: ReadonlyMap<Atom, PatchReason>;
  /** In unit order. */
  readonly leftOut: readonly LeftOut[];
}

/**
 * @param unwanted - names of functions that are not to be carried
 */
export function carryUnchanged(input: UnpatchedUnit, unwanted: ReadonlySet<string>): Identity {
  const carried = new Map<Atom, PatchReason>();
  const alone = { ...input, instructions: new Map<Atom, Instructions>() };
  const leftOut: LeftOut[] = [];
  for (const atom of input.after.atoms) {
    // A cold part comes with its parent.
    if (atom.kind !== 'function' || coldParentOf(atom.name) !== undefined) continue;
    const reason = whyNot(alone, atom, unwanted);
    if (reason === undefined) carried.set(atom, 'identity');
    else leftOut.push({ name: atom.name, ...reason });
  }
  return { carried, leftOut };
}

function whyNot(
  input: UnpatchedUnit,
  atom: Atom,
  unwanted: ReadonlySet<string>,
): Omit<LeftOut, 'name'> | undefined {
  if ([atom.name, ...atom.aliases].some(name => unwanted.has(name)))
    return { why: 'not-wanted', text: `${atom.name}() is not wanted` };
  if (atom.init) return { why: 'init-code', text: `${atom.name}() runs only at boot or module load` };
  const { patched, diagnostics } = select({ ...input, changed: new Map([[atom, 'identity']]) });
  const finding = diagnostics.find(({ severity }) => severity === 'refusal');
  // Its callers could carry it, as they do where it changes.
  if (finding === undefined && !patched.some(each => each.atom === atom))
    return { why: 'no-ftrace-site', text: `the shipped kernel has no ftrace site in ${atom.name}()` };
  return finding && { why: finding.code, text: finding.text };
}

/** @returns a note for each reason */
export function noteLeftOut(
  unit: string,
  object: string,
  leftOut: readonly LeftOut[],
): readonly Diagnostic[] {
  return [...Map.groupBy(leftOut, ({ why }) => why)].map(([why, functions]) => {
    const what = functions.length === 1 ? 'a function is' : `${functions.length} functions are`;
    const names = functions.map(({ name, text }) => (hasOwnText(why) ? `${name}(): ${text}` : `${name}()`));
    return diagnostic('identity-left-out', { object, unit }, `${what} left out of ${unit}: ${why}`, {
      notes: names,
    });
  });
}

/** Whether the sentence says more than the reason and the function's name. */
function hasOwnText(why: LeftOut['why']): boolean {
  return !['init-code', 'not-wanted', 'no-ftrace-site', 'weak-overridden'].includes(why);
}
