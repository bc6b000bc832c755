import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pausePage, windowNumber } from './pause-page.ts';
import type { Rounds } from './pauses.ts';

/** Bucket 256 begins at 2^16 ns; two thousand rounds of it and one long one, in milliseconds. */
const rounds = (longest: number, bucket = 256): Rounds => ({ counts: new Map([[bucket, 2000]]), longest });

/** @param ratios - of the longest rounds of each load, with kstitch and with insmod */
function windowsOf(...ratios: readonly number[]): Map<number, readonly Rounds[]> {
  return new Map(
    ratios.flatMap((ratio, index) => [
      [windowNumber(index + 1, 'kstitch') + 1, [rounds(1), rounds(2 * ratio)]] as const,
      [windowNumber(index + 1, 'insmod') + 1, [rounds(2), rounds(1)]] as const,
    ]),
  );
}

const pageOf = (windows: ReadonlyMap<number, readonly Rounds[]>, pairs: number) =>
  pausePage({ release: '6.1.0-55-cloud-amd64', pairs, boots: 1, windows });

test('each load has windows of its own', () => {
  const firsts = [1, 2, 3].flatMap(pair => [windowNumber(pair, 'kstitch'), windowNumber(pair, 'insmod')]);
  assert.deepEqual(firsts, [1, 4, 7, 10, 13, 16]);
});

test('the page has the ratios, and what is wanted of them', () => {
  const { page, missed } = pageOf(windowsOf(1.5, 0.9, 1.05), 3);
  assert.match(page, /^\| the load: the longest round \| 1\.05 \| 0\.90 to 1\.50 \| at most 1\.1 \|$/m);
  assert.match(
    page,
    /^\| the load: the longest that 99\.9 % of the rounds took \| 1\.00 \| 1\.00 to 1\.00 \| at most 1\.1 \|$/m,
  );
  assert.match(page, /^- Pairs: 3, boots: 1; rounds: 12000, 12000, 12000, 12000 in/m);
  assert.match(page, /with `--pairs 3`$/m);
  assert.doesNotMatch(page, /NaN|Infinity|undefined/);
  assert.deepEqual(missed, []);
});

test('a ratio that is not as wanted is said', () => {
  assert.deepEqual(pageOf(windowsOf(1.5, 1.2, 1), 3).missed, [
    'the load: the longest round: 1.20 in the median of the pairs, wanted at most 1.1',
    'the command: the longest round: 1.20 in the median of the pairs, wanted at most 1.1',
  ]);
  const slow = windowsOf(1).set(2, [rounds(2, 272), rounds(2, 272)]);
  assert.deepEqual(pageOf(slow, 1).missed, [
    'the load: the longest that 99.9 % of the rounds took: 2.00 in the median of the pairs, wanted at most 1.1',
    'the command: the longest that 99.9 % of the rounds took: 2.00 in the median of the pairs, wanted at most 1.1',
  ]);
});

test('a pause before insmod or after the load is one of the command', () => {
  for (const window of [windowNumber(1, 'kstitch'), windowNumber(1, 'kstitch') + 2]) {
    const { page, missed } = pageOf(windowsOf(1).set(window, [rounds(4)]), 1);
    assert.match(page, /- Pairs: 1, boots: 1; rounds: 4000, 4000, 6000, 4000 in/);
    assert.deepEqual(missed, [
      'the command: the longest round: 2.00 in the median of the pairs, wanted at most 1.1',
    ]);
  }
});

test('a load that lacks a process, or its rounds, is no measurement', () => {
  const none: Rounds = { counts: new Map(), longest: 0 };
  const window = windowNumber(2, 'kstitch') + 1;
  for (const [found, one] of [
    [0, undefined],
    [1, [rounds(1)]],
    [1, [rounds(1), none]],
    [3, [rounds(1), rounds(1), rounds(1)]],
  ] as const) {
    const windows = windowsOf(1, 1);
    if (one === undefined) windows.delete(window);
    else windows.set(window, one);
    assert.throws(() => pageOf(windows, 2), {
      name: 'RangeError',
      message: `window ${window} has rounds of ${found} processes, not of 2`,
    });
  }
});
