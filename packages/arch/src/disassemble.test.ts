import assert from 'node:assert/strict';
import { test } from 'node:test';
import { disassemble } from './disassemble.ts';

test('disassemble() speaks AT&T, places are offsets in the code', () => {
  const code = Uint8Array.from([0x80, 0x3d, 0, 0, 0, 0, 1, 0x74, 0x02, 0x31, 0xc0, 0xc3]);
  const text = disassemble(code).map(
    ({ offset, length, text }) => `${offset} ${length} ${text.replace(/\s+/g, ' ')}`,
  );
  assert.deepEqual(text, ['0 7 cmpb $0x1,(%rip)', '7 2 je 0xb', '9 2 xor %eax,%eax', '11 1 ret']);
});

test('disassemble() goes on behind bytes that are no instruction', () => {
  assert.equal(disassemble(Uint8Array.from([0x06, 0x90, 0x90, 0x90, 0x90, 0xc3])).at(-1)?.text, 'ret');
});
