/** Where two functions differ first, for people and for telling apart what a line number may have done. */
import type { CodeView } from './code-view.ts';
import { effectiveEntries, type Sameness } from './sameness.ts';
import type { Atom, Entry, Reference } from './unit/atom.ts';

export type FirstDifference =
  /** `offset` is the first byte that differs or that only one has; relocation fields do not count. */
  | { readonly kind: 'code'; readonly offset: number }
  | {
      readonly kind: 'reference';
      readonly offset: number;
      readonly before: Reference | undefined;
      readonly after: Reference | undefined;
    }
  /** Code and references are the same. */
  | {
      readonly kind: 'entry';
      readonly offset: number;
      readonly section: string;
      readonly before: Entry | undefined;
      readonly after: Entry | undefined;
    }
  /** The code is the same, the padding before it is not. */
  | { readonly kind: 'padding'; readonly offset: 0 };

/**
 * @param before - a function that differs from `after`
 * @returns the difference at the lowest offset in the code, or else the first in the special sections; undefined where
 *   there is none
 */
export function firstDifference(before: Atom, after: Atom, sameness: Sameness): FirstDifference | undefined {
  const views = sameness.views(before, after);
  const code = firstByte(views.before, views.after);
  const reference = firstReference(views.before, views.after, sameness, code ?? Number.POSITIVE_INFINITY);
  if (reference !== undefined) return reference;
  if (code !== undefined) return { kind: 'code', offset: code };
  if (before.entry !== after.entry) return { kind: 'padding', offset: 0 };
  return firstEntry(effectiveEntries(before.entries), effectiveEntries(after.entries), sameness);
}

function firstByte(before: CodeView, after: CodeView): number | undefined {
  const length = Math.min(before.bytes.length, after.bytes.length);
  for (let offset = 0; offset < length; offset += 1) {
    if (before.bytes[offset] !== after.bytes[offset]) return offset;
  }
  return before.bytes.length === after.bytes.length ? undefined : length;
}

function firstReference(
  before: CodeView,
  after: CodeView,
  sameness: Sameness,
  limit: number,
): FirstDifference | undefined {
  const count = Math.max(before.references.length, after.references.length);
  for (let i = 0; i < count; i += 1) {
    const theirs = before.references[i];
    const ours = after.references[i];
    const offset = Math.min(theirs?.offset ?? Infinity, ours?.offset ?? Infinity);
    if (offset >= limit) return undefined;
    if (sameness.sameReferenceAt(before.references, after.references, i)) continue;
    return {
      kind: 'reference',
      offset,
      before: theirs?.offset === offset ? theirs : undefined,
      after: ours?.offset === offset ? ours : undefined,
    };
  }
  return undefined;
}

function firstEntry(
  before: readonly Entry[],
  after: readonly Entry[],
  sameness: Sameness,
): FirstDifference | undefined {
  for (let i = 0; i < Math.max(before.length, after.length); i += 1) {
    const theirs = before[i];
    const ours = after[i];
    if (theirs !== undefined && ours !== undefined && sameness.sameEntry(theirs, ours)) continue;
    const section = (ours ?? theirs)?.section.name ?? '';
    return {
      kind: 'entry',
      offset: (ours ?? theirs)?.ownerOffset ?? 0,
      section,
      before: theirs,
      after: ours,
    };
  }
  return undefined;
}
