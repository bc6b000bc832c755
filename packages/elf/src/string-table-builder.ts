/**
 * Names → the contents of a `SHT_STRTAB` section, with shared ends: `.text` is the end of `.rela.text`.
 *
 * A name that ends another one is found by sorting the names by their reversed text: it then stands right behind a
 * name that contains it. The sort is a three-way radix quicksort (Bentley and Sedgewick, 1997), which looks at each
 * character about once. GNU ld and gas share ends in the same way, so tables keep their size.
 */
import { KstitchError } from '@kstitch/report/error';

export interface BuiltStringTable {
  readonly bytes: Uint8Array;
  /** Byte offset of each name. */
  readonly offsets: ReadonlyMap<string, number>;
}

/**
 * @param names - one character a byte; duplicates and empty names are welcome
 * @returns a table in which names stand in the order given, but for those that end another
 * @throws KstitchError - `elf-not-encodable` for a name that a string table cannot hold
 */
export function buildStringTable(names: Iterable<string>): BuiltStringTable {
  const unique = new Set(names);
  unique.delete('');
  const sorted = [...unique];
  sortByReversedText(sorted);

  // name → the name that it ends
  const holders = new Map<string, string>();
  let holder = '';
  for (const name of sorted) {
    if (holder.endsWith(name)) holders.set(name, holder);
    else holder = name;
  }

  const offsets = new Map<string, number>([['', 0]]);
  const parts: string[] = [''];
  let size = 1;
  for (const name of unique) {
    if (holders.has(name)) continue;
    offsets.set(name, size);
    parts.push(name);
    size += name.length + 1;
  }
  for (const [name, holder] of holders) {
    offsets.set(name, (offsets.get(holder) ?? 0) + holder.length - name.length);
  }

  const text = `${parts.join('\0')}\0`;
  const bytes = Buffer.from(text, 'latin1');
  if (text.length !== size || bytes.toString('latin1') !== text || parts.some(part => part.includes('\0'))) {
    throw notEncodable(parts);
  }
  return { bytes, offsets };
}

function notEncodable(names: readonly string[]): KstitchError {
  const name = names.find(
    name => name.includes('\0') || Buffer.from(name, 'latin1').toString('latin1') !== name,
  );
  return new KstitchError(
    'elf-not-encodable',
    `cannot write the name ${JSON.stringify(name)}: its characters have to be bytes other than NUL`,
  );
}

/** Sorts so that every name comes behind the longer names that it ends. */
function sortByReversedText(names: string[]): void {
  // [start, end) of names whose last `depth` characters are equal
  const pending: [start: number, end: number, depth: number][] = [[0, names.length, 0]];
  for (let range = pending.pop(); range !== undefined; range = pending.pop()) {
    const [start, end, depth] = range;
    if (end - start < 2) continue;
    const pivot = characterFromEnd(names[(start + end) >>> 1], depth);
    // Descending order; -1, "the name is used up", comes last.
    let greater = start;
    let less = end;
    let at = start;
    while (at < less) {
      const character = characterFromEnd(names[at], depth);
      if (character > pivot) swap(names, greater++, at++);
      else if (character < pivot) swap(names, at, --less);
      else at++;
    }
    pending.push([start, greater, depth], [less, end, depth]);
    if (pivot >= 0) pending.push([greater, less, depth + 1]);
  }
}

function characterFromEnd(name: string | undefined, depth: number): number {
  return name !== undefined && depth < name.length ? name.charCodeAt(name.length - 1 - depth) : -1;
}

function swap(names: string[], a: number, b: number): void {
  const kept = names[a];
  const moved = names[b];
  if (kept === undefined || moved === undefined) return;
  names[a] = moved;
  names[b] = kept;
}
