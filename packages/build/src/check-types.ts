import type { TypeChange } from '@kstitch/diff/layout/compare-layouts';
import type { AcceptedLayout } from '@kstitch/livepatch/bundle';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import type { ChangedUnit } from './compile/compile-changed.ts';
import type { ChangedFile } from './patch/apply-patch.ts';

/** What the author of a livepatch answers for. */
export interface Accepted {
  /** Names of types and enumerators, with `struct` or `union` before them or not. */
  readonly names: readonly string[];
  /** Of the livepatches that this one contains: each for the very change that was accepted. */
  readonly earlier: readonly AcceptedLayout[];
}

/**
 * What is wrong about the types of units, said once of each type however many units know it.
 *
 * @param units - those that the livepatch changes
 * @param files - those that the patch changes
 */
export function checkTypes(
  units: readonly Pick<ChangedUnit, 'command' | 'typeChanges'>[],
  accepted: Accepted,
  files: readonly Pick<ChangedFile, 'path' | 'before'>[] = [],
): readonly Diagnostic[] {
  const found = units.flatMap(({ command, typeChanges }) =>
    typeChanges.map(change => ({ change, unit: command.source })),
  );
  return [...Map.groupBy(found, ({ change }) => change.text).values()].flatMap(([first, ...more]) => {
    if (first === undefined) return [];
    const { change, unit } = first;
    const others = more.length === 1 ? '1 more unit' : `${more.length} more units`;
    const notes = [...change.notes, ...(more.length === 0 ? [] : [`the same in ${others}`])];
    if (isAccepted(change, accepted))
      return [diagnostic('layout-accepted', { unit }, `accepted: ${change.text}`, { notes })];
    if (change.code === 'struct-layout-changed' && more.length === 0)
      notes.push(...noteOnLocalType(change, files));
    return [diagnostic(change.code, { unit }, change.text, { notes })];
  });
}

/**
 * @throws KstitchError - `layout-not-changed` for a name that nothing of that name was changed for
 */
export function checkAccepted(changes: readonly TypeChange[], accepted: readonly string[]): void {
  const changed = new Set(changes.filter(({ code }) => code !== 'struct-hole-used').map(({ name }) => name));
  const stale = accepted.find(name => !changed.has(bareName(name)));
  if (stale === undefined) return;
  throw new KstitchError(
    'layout-not-changed',
    `--accept-layout names '${stale}', which the patch does not change`,
  );
}

/** @returns the changes among these that are accepted, each once, by name */
export function acceptedLayouts(
  changes: readonly TypeChange[],
  accepted: Accepted,
): readonly AcceptedLayout[] {
  const found = changes
    .filter(change => isAccepted(change, accepted))
    .map(
      change => [`${change.name} ${change.text}`, { name: change.name, change: wordsOf(change) }] as const,
    );
  return [...new Map(found)].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, layout]) => layout);
}

/** A hole is a caution as it stands; who names the struct says nothing more about it. */
export function isAccepted(change: TypeChange, { names, earlier }: Accepted): boolean {
  if (change.code === 'struct-hole-used') return false;
  return (
    names.some(name => bareName(name) === change.name) ||
    earlier.some(layout => layout.name === change.name && layout.change === wordsOf(change))
  );
}

/** Characters of a text in a bundle, at most. */
const maxWords = 4096;

function wordsOf({ text, notes }: TypeChange): string {
  return [text, ...notes].join('; ').slice(0, maxWords);
}

/**
 * All code that knows a type of one .c file may well be in the patch. Whether objects of it are older than the livepatch, the
 * source does not tell: a pointer to one may wait in a list, a timer, or a task.
 */
function noteOnLocalType(
  { name }: TypeChange,
  files: readonly Pick<ChangedFile, 'path' | 'before'>[],
): readonly string[] {
  const definition = new RegExp(`\\b(?:struct|union)\\s+${name}\\s*\\{`);
  const [home, ...others] = files.filter(({ before = '' }) => definition.test(before));
  if (home === undefined || others.length > 0 || !home.path.endsWith('.c')) return [];
  return [
    `it is defined in '${home.path}' alone: where every object of it lives on a stack, build with --accept-layout ${name}; where one may be older than the livepatch, keep the new member in a shadow variable`,
  ];
}

function bareName(name: string): string {
  return name.replace(/^(?:struct|union|enum)\s+/, '');
}
