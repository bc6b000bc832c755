import type { Hunk } from './parse-patch.ts';

export type HunkPlace =
  /** Fits exactly: `at` is the index of its first line, `offset` how far from where the hunk says, `places` how many there are. */
  | { readonly kind: 'exact'; readonly at: number; readonly offset: number; readonly places: number }
  /** Fits when this many outermost context lines are left out. */
  | { readonly kind: 'fuzz'; readonly at: number; readonly fuzz: number }
  /** Fits nowhere; `nearest` is where most of its lines stand. */
  | { readonly kind: 'none'; readonly nearest: number };

/** Outermost context lines that `patch` leaves out at most, by default. */
const maxFuzz = 2;

/**
 * @param lines - of the file, each with its newline
 * @param start - index of the first line that no earlier hunk has taken, and how far the hunk before was from its place
 * @returns where the lines stand that the hunk expects, the place nearest to where it says
 */
export function findHunk(
  lines: readonly string[],
  hunk: Hunk,
  start: { readonly from: number; readonly shift: number },
): HunkPlace {
  const wanted = hunk.lines.filter(line => line.kind !== 'add').map(line => line.text);
  // A hunk that takes nothing away and has no context names the line it comes after.
  const stated = wanted.length === 0 ? hunk.oldStart : Math.max(hunk.oldStart - 1, 0);
  const expected = stated + start.shift;
  const exact = placesOf(lines, wanted, start.from, expected);
  const [at] = exact;
  if (at !== undefined) return { kind: 'exact', at, offset: at - stated, places: exact.length };

  const head = hunk.lines.findIndex(line => line.kind !== 'context');
  const tail = hunk.lines.toReversed().findIndex(line => line.kind !== 'context');
  for (let fuzz = 1; fuzz <= maxFuzz; fuzz++) {
    const skipped = Math.min(fuzz, head);
    const trimmed = wanted.slice(skipped, wanted.length - Math.min(fuzz, tail));
    const [fuzzy] = trimmed.length === 0 ? [] : placesOf(lines, trimmed, start.from, expected + skipped);
    if (fuzzy !== undefined) return { kind: 'fuzz', at: fuzzy - skipped, fuzz };
  }
  return { kind: 'none', nearest: mostAlike(lines, wanted, expected) };
}

/** Whether a file already has what the hunks leave behind, in order. */
export function holdsReverse(lines: readonly string[], hunks: readonly Hunk[]): boolean {
  let from = 0;
  for (const hunk of hunks) {
    const left = hunk.lines.filter(line => line.kind !== 'remove').map(line => line.text);
    const [at] = placesOf(lines, left, from, Math.max(hunk.oldStart - 1, from));
    // A hunk that leaves nothing behind cannot be told from one that never fitted.
    if (at === undefined || left.length === 0) return false;
    from = at + left.length;
  }
  return hunks.length > 0;
}

/**
 * @param at - index of the line that the first line of the hunk is held against
 * @returns the first line that differs, as the patch has it and as the file has it
 */
export function mismatchNotes(
  path: string,
  lines: readonly string[],
  hunk: Hunk,
  at: number,
): readonly string[] {
  const wanted = hunk.lines.filter(line => line.kind !== 'add').map(line => line.text);
  const different = wanted.findIndex((text, index) => lines[at + index] !== text);
  if (different === -1) return [];
  const there = lines[at + different];
  const place = `${path}:${at + different + 1}`;
  return [
    `${place}: the patch expects '${shown(wanted[different] ?? '')}'`,
    there === undefined
      ? `${place}: the file ends before it`
      : `${place}: there stands      '${shown(there)}'`,
  ];
}

/** All places where the lines stand, nearest to `expected` first. */
function placesOf(
  lines: readonly string[],
  wanted: readonly string[],
  from: number,
  expected: number,
): number[] {
  const places: number[] = [];
  if (wanted.length === 0) return expected >= from && expected <= lines.length ? [expected] : [];
  for (let at = from; at + wanted.length <= lines.length; at++) {
    if (wanted.every((text, index) => lines[at + index] === text)) places.push(at);
  }
  return places.toSorted((a, b) => Math.abs(a - expected) - Math.abs(b - expected) || a - b);
}

/** Within sight of where the hunk says; a place far away that shares some braces and blank lines tells nothing. */
const sight = 1000;

function mostAlike(lines: readonly string[], wanted: readonly string[], expected: number): number {
  let best = Math.max(0, Math.min(expected, lines.length - 1));
  let bestScore = 0;
  for (let at = Math.max(0, expected - sight); at < Math.min(lines.length, expected + sight); at++) {
    const score = wanted.filter((text, index) => text.trim().length > 1 && lines[at + index] === text).length;
    const nearer = Math.abs(at - expected) < Math.abs(best - expected);
    if (score > bestScore || (score === bestScore && score > 0 && nearer)) {
      best = at;
      bestScore = score;
    }
  }
  return best;
}

function shown(line: string): string {
  return Buffer.from(line, 'latin1')
    .toString('utf8')
    .trimEnd()
    .replaceAll('\t', ' ')
    .trimStart()
    .slice(0, 120);
}
