import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addRounds, countFrom, countOf, noRounds, parseRounds, quantile } from './pauses.ts';

/** Bucket 320 begins at 2^20 ns, 1.049 ms, and 256 at 2^16 ns, 66 µs. */
const line = '7 1500000 256:990 320:10\n';

test('quantiles are the upper ends of buckets, and no longer than the longest', () => {
  const [window, rounds] = parseRounds(line);
  assert.equal(window, 7);
  assert.equal(countOf(rounds), 1000);
  assert.ok(Math.abs(quantile(rounds, 0.99) - 0.0696) < 0.0001);
  assert.ok(Math.abs(quantile(rounds, 0.999) - 1.1141) < 0.0001);
  assert.equal(quantile({ ...rounds, longest: 1.06 }, 1), 1.06);
});

test('rounds are added, and counted from a length on', () => {
  const [, rounds] = parseRounds(line);
  const sum = addRounds(addRounds(noRounds, rounds), { counts: new Map([[336, 1]]), longest: 2.1 });
  assert.deepEqual([countOf(sum), sum.longest], [1001, 2.1]);
  assert.deepEqual(
    [countFrom(sum, 0.01), countFrom(sum, 1), countFrom(sum, 2), countFrom(sum, 4)],
    [1001, 11, 1, 0],
  );
});
