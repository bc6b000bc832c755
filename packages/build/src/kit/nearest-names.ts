/**
 * @param wanted - the name that was asked for
 * @param names - the names that exist
 * @returns the `count` names that need the fewest single-character edits to become `wanted`, nearest first
 */
export function nearestNames(wanted: string, names: readonly string[], count = 5): readonly string[] {
  return names
    .map(name => ({ name, distance: editDistance(wanted, name) }))
    .toSorted((a, b) => a.distance - b.distance || (a.name < b.name ? 1 : -1))
    .slice(0, count)
    .map(({ name }) => name);
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
