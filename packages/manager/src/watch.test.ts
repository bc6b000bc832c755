import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pollAfter } from './watch.ts';

test('a short transition is polled finely, a long one as finely as it is long', () => {
  assert.deepEqual([0, 1, 2, 5, 60].map(pollAfter), [0.04, 0.05, 0.1, 0.2, 0.2]);
});
