import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readElf } from '@kstitch/elf/read';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { KernelImage } from './kernel-image.ts';

const source = `
  .globl _start
  .text
_start: .byte 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88
  .section .rodata, "a"
  .long -2
  .section percpu, "aw"
  .quad 0x1234
  .bss
  .skip 16
  .section .comment.not.loaded
  .quad 0
`;
const flags = [
  '-nostdlib',
  '-static',
  '-Wl,--build-id=none',
  '-Wl,-Ttext=0xffffffff81000000',
  '-Wl,--section-start=.rodata=0xffffffff82000000',
  '-Wl,--section-start=percpu=0',
  '-Wl,-Tbss=0xffffffff83000000',
];

function linked(): KernelImage {
  return new KernelImage(readElf(compileC(source, flags, { language: 'assembler', link: true }), 'vmlinux'));
}

test('bytes are found by address, little-endian', { skip: missingCompiler }, () => {
  const image = linked();
  const text = 0xffffffff81000000n;
  assert.deepEqual([...(image.read(text + 1n, 3) ?? [])], [0x22, 0x33, 0x44]);
  assert.equal(image.readU8(text), 0x11);
  assert.equal(image.readU16(text + 2n), 0x4433);
  assert.equal(image.readU32(text), 0x44332211);
  assert.equal(image.readU64(text), 0x8877665544332211n);
  assert.equal(image.readI32(0xffffffff82000000n), -2);
  assert.equal(image.readU64(0n), 0x1234n, 'per-CPU data lies at 0');
});

test('what is not in the file is undefined, not a guess', { skip: missingCompiler }, () => {
  const image = linked();
  const text = 0xffffffff81000000n;
  for (const [address, length] of [
    [text - 1n, 1],
    [text + 8n, 1],
    [text + 4n, 5],
    [text, -1],
    [0xffffffff83000000n, 1],
    [0x8000n, 1],
    [1n << 64n, 1],
    [-1n, 1],
  ] as const) {
    assert.equal(image.read(address, length), undefined, `${address.toString(16)}+${length}`);
  }
  assert.equal(image.readU64(text + 1n), undefined);
  assert.equal(image.readU32(0xffffffff83000000n), undefined);
});

test('the section of an address is found, .bss too', { skip: missingCompiler }, () => {
  const image = linked();
  assert.equal(image.sectionAt(0xffffffff81000007n)?.name, '.text');
  assert.equal(image.sectionAt(0xffffffff83000000n)?.name, '.bss');
  assert.equal(image.sectionAt(0xffffffff8300000fn)?.name, '.bss');
  assert.equal(image.sectionAt(0xffffffff83000010n), undefined);
  assert.equal(image.sectionAt(3n)?.name, 'percpu');
  assert.equal(image.sectionNamed('.comment.not.loaded'), undefined, 'it has no address');
});

test('an object file is no image', { skip: missingCompiler }, () => {
  assert.throws(() => new KernelImage(readElf(compileC('int x;'), 'x.o')), {
    code: 'kernel-image',
    message: "cannot use 'x.o' as a kernel image: e_type is 1, not ET_EXEC (2)",
  });
});
