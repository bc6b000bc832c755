import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pausePage } from './pause-page.ts';
import type { Rounds } from './pauses.ts';

/** Bucket 256 begins at 2^16 ns; two thousand rounds of it and one long one, in milliseconds. */
const rounds = (longest: number, bucket = 256): Rounds => ({ counts: new Map([[bucket, 2000]]), longest });

/** @param ratios - of the longest rounds of each pair, with kstitch and with insmod */
function windowsOf(...ratios: readonly number[]): Map<number, readonly Rounds[]> {
  return new Map(
    ratios.flatMap((ratio, index) => [
      [2 * index + 2, [rounds(1), rounds(2 * ratio)]] as const,
      [2 * index + 3, [rounds(2), rounds(1)]] as const,
    ]),
  );
}

const pageOf = (windows: ReadonlyMap<number, readonly Rounds[]>, pairs: number) =>
  pausePage({ release: '6.1.0-55-cloud-amd64', pairs, windows });

test('the page has the ratios, and what is wanted of them', () => {
  const { page, missed } = pageOf(windowsOf(1.5, 0.9, 1.05), 3);
  assert.match(page, /^\| the longest round \| 1\.05 \| 0\.90 to 1\.50 \| at most 1\.1 \|$/m);
  assert.match(
    page,
    /^\| the longest that 99\.9 % of the rounds took \| 1\.00 \| 1\.00 to 1\.00 \| at most 1\.1 \|$/m,
  );
  assert.match(page, /^- Pairs: 3; rounds: 12000 with kstitch, 12000 with insmod$/m);
  assert.match(page, /with `--pairs 3`$/m);
  assert.doesNotMatch(page, /NaN|Infinity|undefined/);
  assert.deepEqual(missed, []);
});

test('a ratio that is not as wanted is said', () => {
  assert.deepEqual(pageOf(windowsOf(1.5, 1.2, 1), 3).missed, [
    'the longest round: 1.20 in the median of the pairs, wanted at most 1.1',
  ]);
  const slow = windowsOf(1).set(2, [rounds(2, 272), rounds(2, 272)]);
  assert.deepEqual(pageOf(slow, 1).missed, [
    'the longest that 99.9 % of the rounds took: 2.00 in the median of the pairs, wanted at most 1.1',
  ]);
});

test('a window that lacks a process, or its rounds, is no measurement', () => {
  const none: Rounds = { counts: new Map(), longest: 0 };
  for (const [found, one] of [
    [0, undefined],
    [1, [rounds(1)]],
    [1, [rounds(1), none]],
    [3, [rounds(1), rounds(1), rounds(1)]],
  ] as const) {
    const windows = windowsOf(1, 1);
    if (one === undefined) windows.delete(4);
    else windows.set(4, one);
    assert.throws(() => pageOf(windows, 2), {
      name: 'RangeError',
      message: `window 4 has rounds of ${found} processes, not of 2`,
    });
  }
});
