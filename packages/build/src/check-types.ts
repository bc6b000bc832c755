import type { TypeChange } from '@kstitch/diff/layout/compare-layouts';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import type { ChangedUnit } from './compile/compile-changed.ts';

/**
 * What is wrong about the types of units, said once of each type however many units know it.
 *
 * @param units - those that the livepatch changes
 * @param accepted - names of types and enumerators whose change the author answers for, with `struct` or `union` before them or not
 */
export function checkTypes(
  units: readonly Pick<ChangedUnit, 'command' | 'typeChanges'>[],
  accepted: readonly string[],
): readonly Diagnostic[] {
  const names = new Set(accepted.map(bareName));
  const found = units.flatMap(({ command, typeChanges }) =>
    typeChanges.map(change => ({ change, unit: command.source })),
  );
  return [...Map.groupBy(found, ({ change }) => change.text).values()].flatMap(([first, ...more]) => {
    if (first === undefined) return [];
    const { change, unit } = first;
    const others = more.length === 1 ? '1 more unit' : `${more.length} more units`;
    const notes = [...change.notes, ...(more.length === 0 ? [] : [`the same in ${others}`])];
    return names.has(change.name) && change.code !== 'struct-hole-used'
      ? [diagnostic('layout-accepted', { unit }, `accepted: ${change.text}`, { notes })]
      : [diagnostic(change.code, { unit }, change.text, { notes })];
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

function bareName(name: string): string {
  return name.replace(/^(?:struct|union|enum)\s+/, '');
}
