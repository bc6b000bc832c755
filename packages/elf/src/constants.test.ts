import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasFlag, SHF } from './constants.ts';

test('hasFlag works above bit 30, where the operators of numbers are signed', () => {
  assert.equal(hasFlag(SHF.EXCLUDE, SHF.EXCLUDE), true);
  assert.equal(hasFlag(SHF.EXCLUDE + SHF.ALLOC, SHF.ALLOC), true);
  assert.equal(hasFlag(SHF.EXCLUDE + SHF.ALLOC, SHF.WRITE), false);
  assert.equal(hasFlag(2 ** 40 + SHF.GROUP, SHF.EXCLUDE), false);
});
