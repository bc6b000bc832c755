import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readElf } from '@kstitch/elf/read';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { readModinfo } from './modinfo.ts';

function modinfoOf(...texts: string[]): ReturnType<typeof readModinfo> {
  const source = `.section .modinfo, "a"\n${texts.map(text => `.asciz "${text}"`).join('\n')}\n`;
  return readModinfo(readElf(compileC(source, [], { language: 'assembler' }), 'unit.o'));
}

test('keys, values and repetitions', { skip: missingCompiler }, () => {
  const modinfo = modinfoOf('license=GPL', 'alias=a', '', 'alias=b=c', 'depends=virtio,virtio-ring', 'odd');
  assert.deepEqual(modinfo.entries, [
    ['license', 'GPL'],
    ['alias', 'a'],
    ['alias', 'b=c'],
    ['depends', 'virtio,virtio-ring'],
    ['odd', ''],
  ]);
  assert.equal(modinfo.get('license'), 'GPL');
  assert.deepEqual(modinfo.all('alias'), ['a', 'b=c']);
  assert.deepEqual(modinfo.depends, ['virtio', 'virtio_ring']);
  assert.equal(modinfo.get('vermagic'), undefined);
});

test('a module that needs none, an object that says nothing', { skip: missingCompiler }, () => {
  assert.deepEqual(modinfoOf('depends=').depends, []);
  assert.deepEqual(readModinfo(readElf(compileC('int x;'), 'unit.o')).entries, []);
});
