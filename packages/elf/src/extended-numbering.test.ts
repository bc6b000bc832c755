/** At the counts where 16 bits are no longer enough: `SHN_XINDEX`, gABI chapter 4, section header 0. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileC, missingCompiler, readelfText, withoutFileOffsets } from '@kstitch/testkit/compile';
import { EM, ET, EV, SHN, SHT } from './constants.ts';
import { editElf } from './edit.ts';
import { ObjectBuilder } from './object-builder.ts';
import { readElf } from './read.ts';
import { readRelocations } from './relocations.ts';
import { writeElf } from './write.ts';

function objectOf(sections: number): ObjectBuilder {
  const builder = new ObjectBuilder({
    byteOrder: 'little',
    osAbi: 0,
    abiVersion: 0,
    e_type: ET.REL,
    e_machine: EM.X86_64,
    e_version: EV.CURRENT,
    e_entry: 0n,
    e_flags: 0,
  });
  const bytes = new Uint8Array(1);
  for (let index = 0; index < sections; index++) {
    const place = builder.addSection({ name: `s${index}`, content: { kind: 'bytes', bytes } });
    builder.addSymbol({ name: `in s${index}`, place });
  }
  return builder;
}

// 4 fewer than the count of headers: the null section, .symtab, .strtab, .shstrtab.
for (const headers of [0xfeff, 0xff00, 0xff01, 0xff03, 0xff04]) {
  test(`an object with 0x${headers.toString(16)} section headers is read back`, () => {
    const builder = objectOf(headers - 4);
    const bytes = writeElf(builder);
    const file = readElf(bytes, 'many.o');
    const extended = file.sections.filter(({ sh_type }) => sh_type === SHT.SYMTAB_SHNDX);
    // The last of the sections has index headers - 4; only from SHN_LORESERVE on does a symbol need the table.
    assert.equal(extended.length, headers - 4 >= SHN.LORESERVE ? 1 : 0);
    assert.equal(file.sections.length, headers + extended.length);
    assert.equal(
      new DataView(bytes.buffer).getUint16(60, true),
      file.sections.length < 0xff00 ? file.sections.length : 0,
    );
    for (const symbol of file.symbols.slice(1)) assert.equal(symbol.name, `in ${symbol.section?.name}`);
    assert.deepEqual(writeElf(editElf(file).builder), bytes);
  });
}

test('the table of extended indices goes when it is no longer needed', () => {
  const { builder, sectionIds, symbolIds } = editElf(readElf(writeElf(objectOf(0xff10)), 'many.o'));
  assert.equal(builder.sectionsNamed('.symtab_shndx').length, 1);
  for (let index = 1; index <= 0x20; index++) {
    builder.removeSection(sectionIds[index]!);
    builder.removeSymbol(symbolIds[index]!);
  }
  const file = readElf(writeElf(builder), 'many.o');
  assert.equal(
    file.sections.some(({ name }) => name === '.symtab_shndx'),
    false,
  );
  for (const symbol of file.symbols.slice(1)) assert.equal(symbol.name, `in ${symbol.section?.name}`);
});

test('what gas writes with more than 0xff00 sections stays the same to readelf', {
  skip: missingCompiler,
}, () => {
  const lines = Array.from({ length: 0xff20 }, (_, index) => `.section s${index},"a"\nl${index}: .byte 0`);
  const original = compileC(`${lines.join('\n')}\n.quad l3, l65000\n`, [], { language: 'assembler' });
  const again = writeElf(editElf(readElf(original, 'many.o')).builder);
  const args = ['-hSsrgW'];
  assert.ok(readElf(original, 'many.o').sections.length > 0xff20);
  assert.equal(withoutFileOffsets(readelfText(again, args)), withoutFileOffsets(readelfText(original, args)));
});

test('relocations can name more than 0x10000 symbols', () => {
  const builder = objectOf(1);
  const [section] = builder.sections();
  const symbols = Array.from({ length: 0x10010 }, (_, index) =>
    builder.addSymbol({ name: `u${index}`, place: 'undefined', bind: 1 }),
  );
  const entries = symbols.map(symbol => ({ r_offset: 0, r_type: 1, symbol, r_addend: 0n }));
  builder.addSection({ name: '.rela', content: { kind: 'relocations', target: section!.id, entries } });
  const file = readElf(writeElf(builder), 'many.o');
  const relocations = readRelocations(file, file.sections.find(({ name }) => name === '.rela')!);
  assert.equal(relocations.length, 0x10010);
  for (const [index, { r_sym }] of relocations.entries())
    assert.equal(file.symbols[r_sym]!.name, `u${index}`);
});
