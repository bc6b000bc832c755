import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileC, missingCompiler, readelfText } from '@kstitch/testkit/compile';
import { buildId, parseNotes } from './notes.ts';
import { readElf } from './read.ts';

const source = `
  .section .note.first,"a",@note
  .p2align 2
  .long 4, 3, 7
  .asciz "Foo"
  .byte 1, 2, 3, 0
  .long 6, 0, 0x101
  .asciz "Linux"
  .p2align 2
`;

test('names and descriptors are padded to 4 bytes', { skip: missingCompiler }, () => {
  const file = readElf(compileC(source, [], { language: 'assembler' }), 'notes.o');
  const section = file.sections.find(({ name }) => name === '.note.first')!;
  assert.deepEqual(
    parseNotes(section.bytes, 'little', 4).map(({ name, type, desc }) => ({ name, type, desc: [...desc] })),
    [
      { name: 'Foo', type: 7, desc: [1, 2, 3] },
      { name: 'Linux', type: 0x101, desc: [] },
    ],
  );
});

test('an alignment of 8 pads to 8 bytes', () => {
  const words = new Uint32Array([4, 4, 5, 0x00554e47, 0xaa, 0, 4, 8, 5, 0x00554e47, 0xbb, 0]);
  const notes = parseNotes(new Uint8Array(words.buffer), 'little', 8);
  assert.deepEqual(
    notes.map(({ name, desc }) => [name, desc[0], desc.length]),
    [
      ['GNU', 0xaa, 4],
      ['GNU', 0xbb, 8],
    ],
  );
});

test('the build id is what readelf says, with section headers and without', { skip: missingCompiler }, () => {
  const executable = compileC('int main(void) { return 0; }', ['-Wl,--build-id'], { link: true });
  const [, expected] = /Build ID: ([0-9a-f]+)/.exec(readelfText(executable, ['-n'])) ?? [];
  assert.ok(expected !== undefined);
  assert.equal(buildId(readElf(executable, 'main')), expected);

  const headless = executable.slice();
  headless.fill(0, 40, 48); // e_shoff
  headless.fill(0, 60, 64); // e_shnum, e_shstrndx
  const file = readElf(headless, 'main');
  assert.equal(file.sections.length, 0);
  assert.equal(buildId(file), expected);
});

test('an object without a build id has none', { skip: missingCompiler }, () => {
  assert.equal(buildId(readElf(compileC('int x;'), 'x.o')), undefined);
});

test('a note that is cut off is refused', () => {
  const cut = new Uint8Array(new Uint32Array([4, 400, 1, 0x00554e47]).buffer);
  assert.throws(() => parseNotes(cut, 'little', 4, 'notes of x.ko'), {
    code: 'elf-truncated',
    message: /cannot read the descriptor of note 'GNU' of notes of x\.ko: 400 bytes/,
  });
});
