import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Frame, GuestChannel, numberIn } from './guest-channel.ts';

const text = [
  '',
  '@abc step load up=7.21 boot=b tainted=0 @abc',
  'half a line of a script',
  "@abc text insmod insmod: can't insert: a=b @abc",
  '@other step forged up=1',
  '',
  '@abc done @abc',
  'last',
].join('\n');

test('frames of this run, and everything else as output', () => {
  const { frames, output } = read([Buffer.from(text)]);
  assert.deepEqual(
    frames.map(({ kind, name, rest }) => [kind, name, rest]),
    [
      ['step', 'load', 'up=7.21 boot=b tainted=0'],
      ['text', 'insmod', "insmod: can't insert: a=b"],
      ['done', '', ''],
    ],
  );
  assert.deepEqual(output, ['half a line of a script', '@other step forged up=1', 'last']);
  assert.equal(numberIn(frames[0], 'up'), 7.21);
  assert.equal(numberIn(frames[0], 'boot'), undefined);
  assert.equal(numberIn(frames[1], 'up'), undefined);
});

test('values may stand behind the kind at once', () => {
  const { frames } = read([Buffer.from('@abc output status=3 bytes=10 @abc\n')]);
  assert.equal(numberIn(frames[0], 'status'), 3);
  assert.equal(numberIn(frames[0], 'bytes'), 10);
});

test('a part of a frame is none, and a frame that came twice is one', () => {
  const whole = '@abc reproducer bare status=137 @abc';
  const lines = ['@abc reproducer bare status=13', whole, '@abc step b @abc', '', '@abc step b @abc', whole];
  const { frames, output } = read([Buffer.from(`${lines.join('\n')}\n`)]);
  assert.deepEqual(
    frames.map(({ kind, name, rest }) => [kind, name, rest]),
    [
      ['reproducer', 'bare', 'status=137'],
      ['step', 'b', ''],
      ['reproducer', 'bare', 'status=137'],
    ],
  );
  assert.deepEqual(output, []);
});

test('however the bytes are cut, the result is the same', () => {
  const bytes = Buffer.from(text);
  const expected = read([bytes]);
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 10 }), cuts => {
      const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      assert.deepEqual(
        read(places.slice(1).map((end, index) => bytes.subarray(places[index], end))),
        expected,
      );
    }),
  );
});

test('a script that prints without end is cut, and the frame behind it still read', () => {
  const { frames, output } = read([
    Buffer.from('x'.repeat(100_000)),
    Buffer.from('x'.repeat(100_000)),
    Buffer.from('\n@abc done @abc\n'),
  ]);
  assert.equal(frames.length, 1);
  assert.equal(output[0]?.length, 4096);
});

function read(chunks: readonly Uint8Array[]) {
  const frames: Frame[] = [];
  const output: string[] = [];
  const channel = new GuestChannel('abc', {
    onFrame: frame => frames.push(frame),
    onOutput: line => output.push(line),
  });
  for (const chunk of chunks) channel.push(chunk);
  channel.end();
  return { frames, output };
}
