import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guessEntrySizes, type TableRelocation, type TableShape } from './guess-entry-sizes.ts';

/** A table of `count` entries of `size` bytes, each with relocations at the places given. */
function table(
  name: string,
  size: number,
  count: number,
  fields: Readonly<Record<number, TableRelocation['to']>>,
): TableShape {
  const relocations = Array.from({ length: count }, (_, i) =>
    Object.entries(fields).map(([at, to]) => ({ offset: i * size + Number(at), to })),
  ).flat();
  return { name, size: size * count, relocations };
}

const sizesOf = (...tables: TableShape[]) => guessEntrySizes(tables).sizes;

test('guessEntrySizes() tells the three forms of alternatives by their rhythm, also of one entry', () => {
  for (const size of [12, 13, 14]) {
    for (const count of [1, 2, 12, 13 * 12]) {
      const { altInstruction, altReplacementLength } = sizesOf(
        table('.altinstructions', size, count, { 0: 'code', 4: 'code' }),
      );
      assert.deepEqual([altInstruction, altReplacementLength], [size, size === 14 ? 13 : 11]);
    }
  }
});

test('guessEntrySizes() tells bug entries with and without a file, with and without a format', () => {
  assert.equal(sizesOf(table('__bug_table', 12, 3, { 0: 'code', 4: 'data' })).bug, 12);
  assert.equal(sizesOf(table('__bug_table', 8, 2, { 0: 'code' })).bug, 8);
  assert.equal(sizesOf(table('__bug_table', 16, 1, { 0: 'code', 8: 'data' })).bug, 16);
  assert.equal(sizesOf(table('__bug_table', 16, 3, { 0: 'code', 4: 'data', 8: 'data' })).bug, 16);
});

test('guessEntrySizes() tells relative from absolute jump entries', () => {
  assert.equal(sizesOf(table('__jump_table', 16, 3, { 0: 'code', 4: 'code', 8: 'undefined' })).jump, 16);
  assert.equal(sizesOf(table('__jump_table', 24, 2, { 0: 'code', 8: 'code', 16: 'data' })).jump, 24);
});

test('guessEntrySizes() is not deceived by three exception entries in the space of two', () => {
  assert.equal(sizesOf(table('__ex_table', 8, 3, { 0: 'code', 4: 'code' })).exception, 8);
  assert.equal(sizesOf(table('__ex_table', 12, 2, { 0: 'code', 4: 'code', 8: 'undefined' })).exception, 12);
  assert.equal(sizesOf(table('__ex_table', 12, 2, { 0: 'code', 4: 'code' })).exception, 12);
});

test('guessEntrySizes() allows a last paravirt entry without padding', () => {
  const whole = table('.parainstructions', 16, 3, { 0: 'code' });
  assert.equal(sizesOf(whole).paravirt, 16);
  assert.equal(sizesOf({ ...whole, size: 44 }).paravirt, 16);
});

test('guessEntrySizes() names what it cannot tell, and needs no size for what is not there', () => {
  const odd = guessEntrySizes([table('__jump_table', 20, 2, { 0: 'code', 4: 'code', 8: 'data' })]);
  assert.deepEqual(odd.unknown, ['__jump_table']);
  assert.equal(odd.sizes.jump, undefined);
  assert.deepEqual(guessEntrySizes([]).unknown, []);
});
