import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flow, instructionAt, instructionStartingAt, noTarget } from './instructions.ts';
import { R_X86_64 } from './relocation-types.ts';
import { x86_64 } from './x86-64.ts';

//  0: e8 00 00 00 00        call  5
//  5: 74 05                 je    c
//  7: 80 3d 00 00 00 00 01  cmpb  $1, 0(%rip)
//  e: c3                    ret
//  f: e9 ec ff ff ff        jmp   0
const code = Uint8Array.from([
  0xe8, 0, 0, 0, 0, 0x74, 0x05, 0x80, 0x3d, 0, 0, 0, 0, 1, 0xc3, 0xe9, 0xec, 0xff, 0xff, 0xff,
]);

test('decode() gives starts, lengths, flow and targets', () => {
  const instructions = x86_64.decode(code);
  assert.deepEqual([...instructions.starts], [0, 5, 7, 14, 15]);
  assert.deepEqual([...instructions.lengths], [5, 2, 7, 1, 5]);
  assert.deepEqual([...instructions.flows], [Flow.call, Flow.branch, Flow.next, Flow.return, Flow.jump]);
  assert.deepEqual([...instructions.targets], [5, 12, noTarget, noTarget, 0]);
});

test('decode() takes iretq, by which sync_core() serializes the processor, for no return of a function', () => {
  assert.deepEqual([...x86_64.decode(Uint8Array.from([0x48, 0xcf, 0xc3])).flows], [Flow.other, Flow.return]);
});

test('pcBias() counts the immediate that stands behind the field', () => {
  const instructions = x86_64.decode(code);
  assert.equal(x86_64.pcBias(instructions, 1), 4);
  assert.equal(x86_64.pcBias(instructions, 9), 5);
});

test('instructionAt() finds the instruction around an offset, instructionStartingAt() only its start', () => {
  const instructions = x86_64.decode(code);
  assert.equal(instructionAt(instructions, 9), 2);
  assert.equal(instructionStartingAt(instructions, 9), -1);
  assert.equal(instructionStartingAt(instructions, 7), 2);
  assert.equal(instructionAt(instructions, 99), -1);
});

test('takesAddress() tells an address that is made from one that is read through', () => {
  // lea 0(%rip), %rax; mov $0, %rdi; mov 0(,%rdi,4), %eax
  const taking = Uint8Array.from([
    0x48, 0x8d, 0x05, 0, 0, 0, 0, 0x48, 0xc7, 0xc7, 0, 0, 0, 0, 0x8b, 0x04, 0xbd, 0, 0, 0, 0,
  ]);
  const instructions = x86_64.decode(taking);
  assert.deepEqual(
    [3, 10, 17].map(field => x86_64.takesAddress(taking, instructions, field)),
    [true, true, false],
  );
});

test('relocation() knows what the module loader knows and nothing else', () => {
  assert.equal(x86_64.relocation(R_X86_64.PLT32)?.pcRelative, true);
  assert.equal(x86_64.relocation(R_X86_64['32S'])?.signed, true);
  assert.equal(x86_64.relocation(9), undefined); // R_X86_64_GOTPCREL
});
