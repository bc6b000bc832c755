/** What bench/busy.c says of the rounds that it counted: distributions of their times. */

/** As in busy.c: each power of two has so many buckets of the same width. */
const perDoubling = 16;

/** @returns milliseconds */
function beginOf(bucket: number): number {
  return (2 ** Math.floor(bucket / perDoubling) * (1 + (bucket % perDoubling) / perDoubling)) / 1e6;
}

export interface Rounds {
  /** By bucket. */
  readonly counts: ReadonlyMap<number, number>;
  /** In milliseconds. */
  readonly longest: number;
}

export const noRounds: Rounds = { counts: new Map(), longest: 0 };

/** @returns the number of the window, and its rounds */
export function parseRounds(line: string): readonly [number, Rounds] {
  const [window = '', longest = '', ...pairs] = line.trim().split(' ');
  const counts = new Map(
    pairs.map(pair => {
      const [bucket, count] = pair.split(':').map(Number);
      return [bucket ?? 0, count ?? 0] as const;
    }),
  );
  return [Number(window), { counts, longest: Number(longest) / 1e6 }];
}

export function addRounds(a: Rounds, b: Rounds): Rounds {
  const counts = new Map(a.counts);
  for (const [bucket, count] of b.counts) counts.set(bucket, (counts.get(bucket) ?? 0) + count);
  return { counts, longest: Math.max(a.longest, b.longest) };
}

export function countOf({ counts }: Rounds): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

/**
 * @param share - 0.999
 * @returns milliseconds that so many of the rounds took at most: the upper end of a bucket, 6 % wide at most
 */
export function quantile(rounds: Rounds, share: number): number {
  let left = share * countOf(rounds);
  for (const [bucket, count] of [...rounds.counts].toSorted(([a], [b]) => a - b)) {
    left -= count;
    if (left <= 0) return Math.min(beginOf(bucket + 1), rounds.longest);
  }
  return rounds.longest;
}

/** @returns how many of the rounds took at least so many milliseconds; a bucket counts when it begins there or later */
export function countFrom({ counts }: Rounds, milliseconds: number): number {
  return [...counts].reduce((sum, [bucket, count]) => sum + (beginOf(bucket) >= milliseconds ? count : 0), 0);
}
