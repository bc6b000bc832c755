import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ByteReader, latin1 } from './byte-reader.ts';

const bytes = Uint8Array.from([0x01, 0x02, 0x03, 0x84, 0x05, 0x06, 0x07, 0x88, 0x61, 0x00]);

test('reads integers in both byte orders', () => {
  const little = new ByteReader(bytes, 'little', 'x');
  const big = new ByteReader(bytes, 'big', 'x');
  assert.equal(little.u8(3, 'f'), 0x84);
  assert.equal(little.u16(0, 'f'), 0x0201);
  assert.equal(big.u16(0, 'f'), 0x0102);
  assert.equal(little.u32(0, 'f'), 0x84030201);
  assert.equal(little.i32(0, 'f'), 0x84030201 - 2 ** 32);
  assert.equal(big.i32(0, 'f'), 0x01020384);
  assert.equal(little.u64(0, 'f'), 0x8807060584030201n);
  assert.equal(little.i64(0, 'f'), 0x8807060584030201n - (1n << 64n));
  assert.equal(big.u64(0, 'f'), 0x0102038405060788n);
});

test('starts where its bytes start, not where their buffer does', () => {
  const reader = new ByteReader(bytes.subarray(2, 8), 'little', 'x');
  assert.equal(reader.u16(0, 'f'), 0x8403);
  assert.equal(reader.length, 6);
  assert.equal(reader.part(2, 4, 'part').u16(0, 'f'), 0x0605);
});

test('says what was to be read, and where it would have been', () => {
  const reader = new ByteReader(bytes, 'little', "'ext4.ko'", 'elf-malformed');
  assert.throws(() => reader.u32(7, () => 'sh_name of section header 12'), {
    name: 'KstitchError',
    code: 'elf-malformed',
    message:
      "cannot read sh_name of section header 12 of 'ext4.ko': 4 bytes at byte 0x7 reach beyond the end at byte 0xa",
  });
});

test('refuses every range that is not wholly inside', () => {
  const reader = new ByteReader(bytes, 'little', 'x');
  for (const [offset, size] of [
    [-1, 1],
    [0, -1],
    [0, 11],
    [11, 0],
    [Number.NaN, 1],
    [2 ** 53, 2 ** 53],
  ] as const) {
    assert.throws(() => reader.range(offset, size, 'f'), { code: 'elf-truncated' }, `${offset}, ${size}`);
    assert.throws(() => reader.view(offset, size, 'f'), { code: 'elf-truncated' }, `${offset}, ${size}`);
  }
  assert.equal(reader.range(10, 0, 'f').length, 0);
});

test('a quantity is exact or refused', () => {
  for (const order of ['little', 'big'] as const) {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), value => {
        const view = new DataView(new ArrayBuffer(8));
        view.setBigUint64(0, value, order === 'little');
        const reader = new ByteReader(new Uint8Array(view.buffer), order, 'x');
        if (value <= Number.MAX_SAFE_INTEGER) assert.equal(reader.quantity(0, 'f'), Number(value));
        else assert.throws(() => reader.quantity(0, 'f'), /beyond any file/);
      }),
      { examples: [[2n ** 53n - 1n], [2n ** 53n], [2n ** 32n]] },
    );
  }
});

test('a string ends at its NUL, and has to have one within the maximum', () => {
  const reader = new ByteReader(bytes, 'little', 'x');
  assert.equal(reader.cString(8, 1, 'f'), 'a');
  assert.equal(reader.cString(9, 0, 'f'), '');
  assert.throws(() => reader.cString(8, 0, 'f'), /no NUL within 1 bytes/);
  assert.throws(() => new ByteReader(bytes.subarray(0, 9), 'little', 'x').cString(8, 9, 'f'), /no NUL/);
});

test('latin1 keeps every byte', () => {
  const all = Uint8Array.from({ length: 256 }, (_, index) => index);
  assert.deepEqual(
    Uint8Array.from(latin1(all), character => character.charCodeAt(0)),
    all,
  );
});
