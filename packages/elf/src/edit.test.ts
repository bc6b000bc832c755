import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { EM, ET, EV, PN_XNUM, SHT, sizeOf } from './constants.ts';
import { editElf } from './edit.ts';
import { type BuilderHeader, ObjectBuilder } from './object-builder.ts';
import { readElf } from './read.ts';
import { readRelocations } from './relocations.ts';
import { writeElf } from './write.ts';

const header: BuilderHeader = {
  byteOrder: 'little',
  osAbi: 0,
  abiVersion: 0,
  e_type: ET.REL,
  e_machine: EM.X86_64,
  e_version: EV.CURRENT,
  e_entry: 0n,
  e_flags: 0,
};
const oneByte = { kind: 'bytes', bytes: Uint8Array.of(1) } as const;

test('old indices lead to the ids of sections and symbols', { skip: missingCompiler }, () => {
  const file = readElf(compileC('int a; int f(void) { return a; }'), 'x.o');
  const { builder, sectionIds, symbolIds } = editElf(file);
  assert.equal(sectionIds.length, file.sections.length);
  assert.equal(symbolIds.length, file.symbols.length);
  assert.deepEqual([sectionIds[0], symbolIds[0]], [undefined, undefined]);
  for (const { index, name } of file.sections.slice(1))
    assert.equal(builder.section(sectionIds[index]!).name, name);
  for (const { index, name, section } of file.symbols.slice(1)) {
    const symbol = builder.symbol(symbolIds[index]!);
    assert.equal(symbol.name, name);
    if (section !== undefined) assert.equal(symbol.place, sectionIds[section.index]);
  }
});

test('a local symbol added last moves global ones, and relocations follow', { skip: missingCompiler }, () => {
  const { builder } = editElf(readElf(compileC('extern int a; int f(void) { return a; }'), 'x.o'));
  builder.addSymbol({ name: 'added', place: 'absolute' });
  const file = readElf(writeElf(builder), 'x.o');
  const section = file.sections.find(({ name }) => name === '.rela.text')!;
  assert.deepEqual(
    readRelocations(file, section).map(({ r_sym }) => file.symbols[r_sym]!.name),
    ['a'],
  );
  assert.ok(
    file.symbols.findIndex(({ name }) => name === 'added') <
      file.symbols.findIndex(({ name }) => name === 'a'),
  );
});

test('one string table for symbols and sections stays one', () => {
  const builder = new ObjectBuilder(header);
  const place = builder.addSection({ name: '.text', content: oneByte });
  builder.addSection({ name: '.strtab', content: { kind: 'generated', table: 'all-names' } });
  builder.addSection({ name: '.symtab', content: { kind: 'generated', table: 'symbols' } });
  builder.addSymbol({ name: 'f', place });
  const written = writeElf(builder);
  const file = readElf(written, 'x.o');
  assert.deepEqual(
    file.sections.map(({ name }) => name),
    ['', '.text', '.strtab', '.symtab'],
  );
  assert.equal(file.symbols[1]!.name, 'f');
  assert.deepEqual(writeElf(editElf(file).builder), written);
});

test('a section that may hold symbol indices of its own is refused', () => {
  const builder = new ObjectBuilder(header);
  const symbols = builder.addSection({ name: '.symtab', content: { kind: 'generated', table: 'symbols' } });
  builder.addSection({ name: '.llvm_addrsig', sh_type: SHT.LLVM_ADDRSIG, link: symbols, content: oneByte });
  const file = readElf(writeElf(builder), 'clang.o');
  assert.throws(() => editElf(file), {
    code: 'elf-unsupported',
    message:
      "cannot edit section 2 '.llvm_addrsig' of type 0x6fff4c03 of 'clang.o': it refers to the symbols table",
  });
});

test('SHT_REL in an object is refused', { skip: missingCompiler }, () => {
  const bytes = compileC('extern int a; int f(void) { return a; }').slice();
  const view = new DataView(bytes.buffer);
  const { index } = readElf(bytes, 'x.o').sections.find(({ name }) => name === '.rela.text')!;
  view.setUint32(Number(view.getBigUint64(40, true)) + index * sizeOf.Shdr + 4, SHT.REL, true);
  assert.throws(() => editElf(readElf(bytes, 'x.o')), { code: 'elf-unsupported', message: /SHT_REL/ });
});

for (const count of [PN_XNUM - 1, PN_XNUM, PN_XNUM + 1]) {
  test(`an executable with ${count} segments keeps them`, () => {
    const segment = {
      p_type: 0,
      p_flags: 0,
      p_offset: 0,
      p_vaddr: 0n,
      p_paddr: 0n,
      p_filesz: 0,
      p_memsz: 0n,
      p_align: 0n,
    };
    const bytes = new Uint8Array(sizeOf.Ehdr + count * sizeOf.Phdr);
    // p_type of the last one, to see that it was reached
    bytes[bytes.length - sizeOf.Phdr] = 6;
    const segments = Array.from({ length: count }, () => segment);
    const builder = new ObjectBuilder(
      { ...header, e_type: ET.EXEC },
      { bytes, e_phoff: sizeOf.Ehdr, segments },
    );
    builder.addSection({ name: 'named', content: oneByte });
    const file = readElf(writeElf(builder), 'main');
    assert.equal(file.segments.length, count);
    assert.equal(file.segments.at(-1)!.p_type, 6);
    assert.equal(file.sections[1]!.name, 'named');
    assert.equal(readElf(writeElf(editElf(file).builder), 'main').segments.length, count);
  });
}
