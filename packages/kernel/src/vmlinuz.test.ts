import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { KstitchError } from '@kstitch/report/error';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import * as fc from 'fast-check';
import { locatePayload, unpackVmlinuz } from './vmlinuz.ts';

const noXz = spawnSync('xz', ['--version']).error === undefined ? false : 'xz is not installed';

const executable =
  missingCompiler === false
    ? compileC('.globl _start\n_start: ret\n', ['-nostdlib', '-static'], {
        language: 'assembler',
        link: true,
      })
    : new Uint8Array(0);

function noXzHere(): Promise<Uint8Array> {
  throw new Error('xz was called');
}

function sizeOf(bytes: Uint8Array): Uint8Array {
  const trailer = new Uint8Array(4);
  new DataView(trailer.buffer).setUint32(0, bytes.length, true);
  return trailer;
}

/** As `cmd_size_append` leaves it. */
function withSize(packed: Uint8Array, unpacked: Uint8Array): Uint8Array {
  return Buffer.concat([packed, sizeOf(unpacked)]);
}

function bzImage(stored: Uint8Array, setupSectors = 3): Uint8Array {
  const payloadOffset = 0x40;
  const image = new Uint8Array(((setupSectors || 4) + 1) * 512 + payloadOffset + stored.length + 100);
  const view = new DataView(image.buffer);
  view.setUint8(0x1f1, setupSectors);
  image.set(Buffer.from('HdrS'), 0x202);
  view.setUint16(0x206, 0x020f, true);
  view.setUint32(0x248, payloadOffset, true);
  view.setUint32(0x24c, stored.length, true);
  image.set(stored, ((setupSectors || 4) + 1) * 512 + payloadOffset);
  return image;
}

/** Literals only, in blocks that end at 200 bytes. */
function lz4Legacy(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(0x02, 0x21, 0x4c, 0x18)];
  for (let at = 0; at < bytes.length; at += 200) {
    const literals = bytes.subarray(at, at + 200);
    const token = literals.length < 15 ? [literals.length << 4] : [0xf0, literals.length - 15];
    parts.push(Uint8Array.of(token.length + literals.length, 0, 0, 0, ...token), literals);
  }
  return Buffer.concat(parts);
}

test('gzip keeps its last four bytes, which are part of it', { skip: missingCompiler }, async () => {
  const packed = gzipSync(executable);
  const image = bzImage(packed);
  const found = locatePayload(image);
  assert.equal(found.format, 'gzip');
  assert.equal(found.unpackedSize, executable.length);
  assert.ok(packed.equals(found.payload));
  assert.deepEqual(Buffer.from(await unpackVmlinuz(image, noXzHere)), Buffer.from(executable));
});

test('zstd and lz4-legacy lose the size behind them', { skip: missingCompiler }, async () => {
  for (const [format, packed] of [
    ['zstd', zstdCompressSync(executable)],
    ['lz4-legacy', lz4Legacy(executable)],
  ] as const) {
    const image = bzImage(withSize(packed, executable));
    const found = locatePayload(image);
    assert.equal(found.format, format);
    assert.ok(Buffer.from(packed).equals(found.payload));
    assert.ok(Buffer.from(executable).equals(await unpackVmlinuz(image, noXzHere)));
  }
});

test('xz goes to the given tool', { skip: missingCompiler || noXz }, async () => {
  const packed = execFileSync('xz', ['--check=crc32', '--x86', '--lzma2=dict=32MiB', '-c'], {
    input: executable,
  });
  const image = bzImage(withSize(packed, executable));
  const unpacked = await unpackVmlinuz(image, async payload => {
    assert.ok(packed.equals(payload));
    return execFileSync('xz', ['-dc'], { input: payload });
  });
  assert.ok(Buffer.from(executable).equals(unpacked));
});

test('0 setup sectors stand for 4', () => {
  assert.equal(locatePayload(bzImage(gzipSync('kernel'), 0)).unpackedSize, 6);
});

test('the formats that are not unpacked are named', async () => {
  for (const [format, magic] of [
    ['bzip2', 'BZh9'],
    ['lzma', ']\0\0\0\x04'],
    ['lzo', '\x89LZO\0'],
  ] as const) {
    const image = bzImage(withSize(Buffer.from(`${magic}rest`, 'latin1'), new Uint8Array(9)));
    assert.equal(locatePayload(image).format, format);
    await assert.rejects(unpackVmlinuz(image, noXzHere), { code: 'kernel-compression' });
  }
});

test('what comes out in another size, or is no executable, is refused', {
  skip: missingCompiler,
}, async () => {
  const code = { code: 'kernel-payload' };
  const longer = Buffer.concat([executable, Buffer.alloc(1)]);
  const object = compileC('int x;');
  for (const stored of [
    withSize(zstdCompressSync(executable), longer),
    withSize(zstdCompressSync(longer), executable),
    withSize(lz4Legacy(executable), longer),
    withSize(zstdCompressSync(object), object),
    withSize(zstdCompressSync(executable).subarray(0, 50), executable),
    gzipSync('no kernel'),
    withSize(Buffer.from('\xfd7zXZ\0rest', 'latin1'), executable),
  ]) {
    await assert.rejects(
      unpackVmlinuz(bzImage(stored), async () => longer),
      code,
    );
  }
});

test('what is no bzImage is refused', () => {
  const good = bzImage(gzipSync('kernel'));
  const changed = (at: number, value: number, size = 1): Uint8Array => {
    const copy = good.slice();
    if (size === 4) new DataView(copy.buffer).setUint32(at, value, true);
    else copy[at] = value;
    return copy;
  };
  for (const bytes of [
    new Uint8Array(0),
    good.subarray(0, 0x205),
    good.subarray(0, good.length - 101),
    changed(0x202, 0),
    changed(0x206, 0x07),
    changed(0x248, 0xffffffff, 4),
    changed(0x24c, 0xffffffff, 4),
    changed(0x24c, 0, 4),
    changed(0x248, 0x41, 4),
    bzImage(withSize(Buffer.from('nothing known'), new Uint8Array(9))),
    bzImage(Buffer.concat([zstdCompressSync('x'), Buffer.from([0, 0, 0, 0xff])])),
  ]) {
    assert.throws(() => locatePayload(bytes), { code: 'kernel-vmlinuz' });
  }
  assert.equal(locatePayload(good).format, 'gzip');
});

test('random damage gives our error or a payload', () => {
  const good = bzImage(gzipSync('kernel'));
  fc.assert(
    fc.property(
      fc.integer({ min: 0x1f1, max: 0x250 }),
      fc.nat(255),
      fc.nat(good.length),
      (at, value, length) => {
        const damaged = good.slice(0, length);
        damaged[at] = value;
        try {
          locatePayload(damaged);
        } catch (error) {
          assert.ok(error instanceof KstitchError && error.code === 'kernel-vmlinuz', String(error));
        }
      },
    ),
  );
});
