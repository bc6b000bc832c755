import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missingCompiler, readelfText } from '@kstitch/testkit/compile';
import { EM, ET, EV, GRP, SHF, SHN, SHT, STB, STT } from './constants.ts';
import { readGroups } from './groups.ts';
import type { ByteOrder } from './model.ts';
import { ObjectBuilder, type SectionId } from './object-builder.ts';
import { readElf } from './read.ts';
import { readRelocations, relocationSectionsOf } from './relocations.ts';
import { writeElf } from './write.ts';

function emptyObject(byteOrder: ByteOrder = 'little'): ObjectBuilder {
  return new ObjectBuilder({
    byteOrder,
    osAbi: 0,
    abiVersion: 0,
    e_type: ET.REL,
    e_machine: byteOrder === 'little' ? EM.X86_64 : EM.S390,
    e_version: EV.CURRENT,
    e_entry: 0n,
    e_flags: 0,
  });
}

const code = (...bytes: number[]) => ({ kind: 'bytes', bytes: Uint8Array.from(bytes) }) as const;

/** One of everything. */
function smallObject(byteOrder: ByteOrder): ObjectBuilder {
  const builder = emptyObject(byteOrder);
  const signature = builder.addSymbol({ name: 'sig', place: 'undefined' });
  const group = builder.addSection({ name: '.group', content: { kind: 'nobits', size: 0 } });
  const text = builder.addSection({
    name: '.text',
    sh_flags: SHF.ALLOC | SHF.EXECINSTR | SHF.GROUP,
    sh_addralign: 16,
    content: code(1, 2, 3, 4, 5, 6, 7, 8),
  });
  Object.assign(builder.section(group), {
    sh_type: SHT.GROUP,
    sh_flags: 0,
    sh_addralign: 4,
    sh_entsize: 4,
    content: { kind: 'group', signature, flags: GRP.COMDAT, members: [text] },
  });
  builder.addSection({ name: '.bss', content: { kind: 'nobits', size: 0x1234 } });
  builder.addSection({ name: 'ordered', sh_flags: SHF.ALLOC | SHF.LINK_ORDER, link: text, content: code(9) });
  const klp = builder.addSymbol({ name: '.klp.sym.vmlinux.f,0', place: 'livepatch', bind: STB.GLOBAL });
  const entry = { r_offset: 4, r_type: 2, symbol: klp, r_addend: -4n };
  builder.addSection({
    name: '.rela.text',
    content: { kind: 'relocations', target: text, entries: [entry] },
  });
  builder.addSection({
    name: '.klp.rela.vmlinux..text',
    sh_flags: SHF.ALLOC | SHF.RELA_LIVEPATCH,
    content: {
      kind: 'relocations',
      target: text,
      entries: [
        { ...entry, r_offset: 0, r_addend: 0x7fffffffffffffffn },
        { ...entry, symbol: undefined },
        { ...entry, symbol: builder.sectionSymbol(text) },
      ],
    },
  });
  builder.addSymbol({ name: 'f', place: text, bind: STB.GLOBAL, type: STT.FUNC, st_value: 2n, st_size: 6n });
  builder.addSymbol({ name: 'late local', place: 'absolute', st_value: 0xffffffff81000000n });
  builder.addSymbol({ name: 'c', place: 'common', bind: STB.GLOBAL, type: STT.OBJECT });
  builder.addSymbol({ name: 'odd', place: { st_shndx: SHN.X86_64_LCOMMON }, bind: STB.WEAK, st_other: 2 });
  return builder;
}

for (const byteOrder of ['little', 'big'] as const) {
  test(`what was built is read back, ${byteOrder}-endian`, () => {
    const file = readElf(writeElf(smallObject(byteOrder)), 'built.o');
    assert.equal(file.header.byteOrder, byteOrder);
    assert.deepEqual(
      file.sections.map(({ name }) => name),
      [
        '',
        '.group',
        '.text',
        '.bss',
        'ordered',
        '.rela.text',
        '.klp.rela.vmlinux..text',
        '.symtab',
        '.strtab',
        '.shstrtab',
      ],
    );
    const section = (name: string) => file.sections.find(section => section.name === name)!;
    const text = section('.text');
    assert.deepEqual([...text.bytes], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.equal(text.sh_offset % 16, 0);
    assert.deepEqual([section('.bss').sh_type, section('.bss').sh_size], [SHT.NOBITS, 0x1234]);
    assert.equal(section('ordered').sh_link, text.index);

    assert.deepEqual(
      file.symbols.slice(1).map(s => [s.name, s.bind, s.st_shndx, s.section?.name, s.st_value]),
      [
        ['sig', STB.LOCAL, SHN.UNDEF, undefined, 0n],
        ['', STB.LOCAL, text.index, '.text', 0n],
        ['late local', STB.LOCAL, SHN.ABS, undefined, 0xffffffff81000000n],
        ['.klp.sym.vmlinux.f,0', STB.GLOBAL, SHN.LIVEPATCH, undefined, 0n],
        ['f', STB.GLOBAL, text.index, '.text', 2n],
        ['c', STB.GLOBAL, SHN.COMMON, undefined, 0n],
        ['odd', STB.WEAK, SHN.X86_64_LCOMMON, undefined, 0n],
      ],
    );
    assert.equal(section('.symtab').sh_info, 4);

    const [usual, klp] = relocationSectionsOf(file).get(text.index)!;
    assert.deepEqual(readRelocations(file, usual!), [{ r_offset: 4, r_type: 2, r_sym: 4, r_addend: -4n }]);
    assert.deepEqual(readRelocations(file, klp!), [
      { r_offset: 0, r_type: 2, r_sym: 4, r_addend: 0x7fffffffffffffffn },
      { r_offset: 4, r_type: 2, r_sym: 0, r_addend: -4n },
      { r_offset: 4, r_type: 2, r_sym: 2, r_addend: -4n },
    ]);
    const [group] = readGroups(file);
    assert.deepEqual(
      [group!.signature.name, group!.flags, group!.members[0]!.name],
      ['sig', GRP.COMDAT, '.text'],
    );
  });

  test(`readelf understands it without a warning, ${byteOrder}-endian`, { skip: missingCompiler }, () => {
    const text = readelfText(writeElf(smallObject(byteOrder)), ['-hSsrgW']);
    assert.doesNotMatch(text, /readelf:|[Ww]arning|<corrupt/);
    assert.match(
      text,
      byteOrder === 'little' ? /2's complement, little endian/ : /2's complement, big endian/,
    );
    assert.match(text, /COMDAT group section \[ +1\] `\.group' \[sig\] contains 1 sections/);
    assert.match(text, /OS \[0xff20\] \.klp\.sym\.vmlinux\.f,0/);
    assert.match(text, /ffffffff81000000 +0 NOTYPE +LOCAL +DEFAULT +ABS late local/);
    assert.match(text, /\.klp\.rela\.vmlinux\.\.text RELA .* Ao /);
  });
}

test('the same builder gives the same bytes, and writing does not change it', () => {
  const builder = smallObject('little');
  const first = writeElf(builder);
  assert.deepEqual(writeElf(builder), first);
  assert.equal(
    builder.sections().some(({ name }) => name === '.symtab'),
    false,
  );
});

test('ids stay while others are removed, indices close the gap', () => {
  const builder = emptyObject();
  const ids = ['a', 'b', 'c'].map(name => builder.addSection({ name, content: code(1) }));
  const symbols = ids.map((place, index) => builder.addSymbol({ name: `in ${index}`, place }));
  builder.removeSymbol(symbols[1]!);
  builder.removeSection(ids[1]!);
  assert.equal(builder.hasSection(ids[1]!), false);
  assert.equal(builder.hasSymbol(symbols[1]!), false);
  assert.throws(() => builder.section(ids[1]!), RangeError);
  assert.throws(() => builder.symbol(symbols[1]!), RangeError);
  assert.equal(builder.section(ids[2]!).name, 'c');
  const file = readElf(writeElf(builder), 'x.o');
  assert.deepEqual(
    file.symbols.map(symbol => symbol.section?.name),
    [undefined, 'a', 'c'],
  );
});

test('a reference to what was removed is refused by the name of its user', () => {
  const refuse = (change: (builder: ObjectBuilder, text: SectionId) => void, message: RegExp) => {
    const builder = emptyObject();
    const text = builder.addSection({ name: '.text', content: code(1) });
    change(builder, text);
    assert.throws(() => writeElf(builder), { code: 'elf-not-encodable', message });
  };
  refuse((builder, text) => {
    builder.addSymbol({ name: 'orphan', place: text });
    builder.removeSection(text);
  }, /^cannot write symbol 'orphan': it refers to section 0, which was removed$/);
  refuse((builder, target) => {
    builder.addSection({ name: '.rela.text', content: { kind: 'relocations', target, entries: [] } });
    builder.removeSection(target);
  }, /^cannot write section '\.rela\.text': it refers to section 0/);
  refuse((builder, target) => {
    const symbol = builder.addSymbol({ name: 'gone', place: 'undefined' });
    const entries = [{ r_offset: 0, r_type: 1, symbol, r_addend: 0n }];
    builder.addSection({ name: '.rela.text', content: { kind: 'relocations', target, entries } });
    builder.removeSymbol(symbol);
  }, /^cannot write section '\.rela\.text': it refers to symbol 0/);
  refuse((builder, text) => {
    builder.addSection({ name: 'ordered', link: text, content: code(1) });
    builder.removeSection(text);
  }, /^cannot write section 'ordered': it refers to section 0/);
});

test('values that do not fit their field are refused', () => {
  const refuse = (change: (builder: ObjectBuilder, text: SectionId) => void, message: RegExp) => {
    const builder = emptyObject();
    change(builder, builder.addSection({ name: '.text', content: code(1) }));
    assert.throws(() => writeElf(builder), { code: 'elf-not-encodable', message });
  };
  const relocation = (change: object) => (builder: ObjectBuilder, target: SectionId) => {
    const entry = { r_offset: 0, r_type: 1, symbol: undefined, r_addend: 0n, ...change };
    builder.addSection({ name: '.rela.text', content: { kind: 'relocations', target, entries: [entry] } });
  };
  refuse(relocation({ r_addend: 1n << 63n }), /^cannot write relocation 0 of section '\.rela\.text'/);
  refuse(relocation({ r_offset: -1 }), /r_offset -1/);
  refuse(relocation({ r_type: 2 ** 32 }), /r_type 4294967296/);
  refuse(
    builder => builder.addSymbol({ name: 's', place: 'absolute', st_value: -1n }),
    /symbol 's'.*st_value -1/,
  );
  refuse(builder => builder.addSymbol({ name: 's', place: { st_shndx: 5 } }), /symbol 's'.*st_shndx 5/);
  refuse(builder => builder.addSymbol({ name: 's', place: 'absolute', bind: 16 }), /symbol 's'.*bind 16/);
  refuse((builder, text) => {
    builder.section(text).sh_addralign = 12;
  }, /sh_addralign 12 is not a power of two/);
  refuse((builder, text) => {
    builder.section(text).sh_flags = -1;
  }, /sh_flags of section header 1: -1/);
  refuse(builder => {
    for (const name of ['.symtab', '.symtab2']) {
      builder.addSection({ name, content: { kind: 'generated', table: 'symbols' } });
    }
  }, /section '\.symtab2': the object has a second symbols table/);
});

test('an alignment that no file can have is refused before memory is asked for', () => {
  const builder = emptyObject();
  builder.addSection({ name: '.text', sh_addralign: 2 ** 50, content: code(1) });
  assert.throws(() => writeElf(builder), { code: 'elf-too-large' });
});

test('a section has one section symbol', () => {
  const builder = emptyObject();
  const text = builder.addSection({ name: '.text', content: code(1) });
  const symbol = builder.sectionSymbol(text);
  assert.equal(builder.sectionSymbol(text), symbol);
  builder.removeSymbol(symbol);
  assert.notEqual(builder.sectionSymbol(text), symbol);
});
