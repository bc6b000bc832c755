import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { KstitchError } from '@kstitch/report/error';
import * as fc from 'fast-check';
import { unpackLz4Legacy } from './lz4-legacy.ts';

const magic = [0x02, 0x21, 0x4c, 0x18];
const noLz4 = spawnSync('lz4', ['--version']).error === undefined ? false : 'lz4 is not installed';

/** A frame of one block. */
function frame(...block: number[]): Uint8Array {
  return Uint8Array.from([...magic, block.length & 0xff, block.length >> 8, 0, 0, ...block]);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

test('literals alone', () => {
  assert.equal(text(unpackLz4Legacy(frame(0x30, 0x61, 0x62, 0x63), 3)), 'abc');
});

test('a match that overlaps what it writes repeats', () => {
  // 'ab', then 9 bytes from 2 back, then 'z'.
  assert.equal(text(unpackLz4Legacy(frame(0x25, 0x61, 0x62, 2, 0, 0x10, 0x7a), 12)), 'abababababaz');
});

test('lengths from 15 on go on in further bytes', () => {
  const literals = Buffer.alloc(15 + 255 + 4, 'q');
  const block = [0xff, 255, 4, ...literals, 1, 0, 255, 10, 0x10, 0x21];
  const unpacked = unpackLz4Legacy(frame(...block), literals.length + (15 + 255 + 10 + 4) + 1);
  assert.equal(text(unpacked), `${'q'.repeat(literals.length + 284)}!`);
});

test('blocks follow each other, frames may too', () => {
  const one = frame(0x10, 0x61);
  const two = frame(0x10, 0x62);
  assert.equal(text(unpackLz4Legacy(Buffer.concat([one, two.subarray(4)]), 2)), 'ab');
  assert.equal(text(unpackLz4Legacy(Buffer.concat([one, two]), 2)), 'ab');
});

test('a match cannot reach into the block before', () => {
  const joined = Buffer.concat([frame(0x40, 1, 2, 3, 4), frame(0x10, 0x61, 2, 0, 0x10, 0x62).subarray(4)]);
  assert.throws(() => unpackLz4Legacy(joined, 10), { code: 'kernel-payload' });
});

test('what is damaged is refused', () => {
  const bad: [string, Uint8Array, number][] = [
    ['no magic', Uint8Array.of(1, 2, 3, 4), 1],
    ['empty', new Uint8Array(0), 0],
    ['offset 0', frame(0x10, 0x61, 0, 0, 0x10, 0x62), 6],
    ['offset before the start', frame(0x10, 0x61, 2, 0, 0x10, 0x62), 6],
    ['more literals than there are', frame(0x50, 0x61), 5],
    ['more than the size', frame(0x20, 0x61, 0x62), 1],
    ['less than the size', frame(0x20, 0x61, 0x62), 3],
    ['a match beyond the size', frame(0x1f, 0x61, 1, 0, 100, 0x10, 0x62), 20],
    ['an offset cut off', frame(0x10, 0x61, 1), 5],
    ['a block cut off', frame(0x30, 0x61, 0x62, 0x63).subarray(0, 10), 3],
    ['a size cut off', Uint8Array.from([...magic, 1, 0]), 3],
  ];
  for (const [what, bytes, size] of bad) {
    assert.throws(() => unpackLz4Legacy(bytes, size), { code: 'kernel-payload' }, what);
  }
});

test('what the lz4 tool packed comes back', { skip: noLz4 }, () => {
  // Machine code, and longer than one block of 8 MiB.
  const program = readFileSync(process.execPath).subarray(0, 9 * 1024 * 1024);
  const packed = execFileSync('lz4', ['-l', '-9', '-c'], { input: program, maxBuffer: 2 ** 26 });
  assert.ok(program.equals(unpackLz4Legacy(packed, program.length)));
});

test('random damage gives an error or some bytes, never another failure', () => {
  const block = [
    0x8a,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    8,
    0,
    0xf4,
    3,
    ...Array<number>(18).fill(7),
    20,
    0,
    0x50,
    1,
    2,
    3,
    4,
    5,
  ];
  const good = frame(...block);
  const size = 8 + 14 + 18 + 8 + 5;
  assert.equal(unpackLz4Legacy(good, size).length, size);
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, length) => {
      const damaged = good.slice(0, length);
      damaged[at] = value;
      try {
        assert.equal(unpackLz4Legacy(damaged, size).length, size);
      } catch (error) {
        assert.ok(error instanceof KstitchError && error.code === 'kernel-payload', String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
