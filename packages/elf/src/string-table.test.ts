import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from './limits.ts';
import { StringTable } from './string-table.ts';

const table = new StringTable(Buffer.from('\0abc\0no end', 'latin1'), 'x.o');

test('a name may start within another one', () => {
  assert.equal(table.nameAt(1, 'f'), 'abc');
  assert.equal(table.nameAt(3, 'f'), 'c');
  assert.equal(table.nameAt(0, 'f'), '');
});

test('an empty table holds the empty name', () => {
  assert.equal(new StringTable(new Uint8Array(0), 'x.o').nameAt(0, 'f'), '');
});

test('a name outside of the table or without an end is refused', () => {
  assert.throws(() => table.nameAt(99, () => 'st_name of symbol 3'), {
    code: 'elf-malformed',
    message: "cannot read st_name of symbol 3 of 'x.o': offset 99 is outside of a string table of 11 bytes",
  });
  assert.throws(() => table.nameAt(5, 'f'), { code: 'elf-malformed', message: /ends without a NUL/ });
});

test('a name has a largest length', () => {
  const long = (length: number) => new StringTable(Buffer.from(`\0${'x'.repeat(length)}\0`), 'x.o');
  assert.equal(long(limits.name).nameAt(1, 'f').length, limits.name);
  assert.throws(() => long(limits.name + 1).nameAt(1, 'f'), { code: 'elf-too-large' });
});
