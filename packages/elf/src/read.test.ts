import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileC, missingCompiler, readelfText } from '@kstitch/testkit/compile';
import { EM, ET, SHN, SHT, STB, STT } from './constants.ts';
import { readElf } from './read.ts';

const source = `
  int zeroed[4];
  __attribute__((weak)) int weak = 7;
  static const char text[] = "hello";
  extern int elsewhere(const char *);
  int function(void) { return elsewhere(text) + weak + zeroed[1]; }
`;
const object =
  missingCompiler === false
    ? compileC(source, ['-ffunction-sections'], { name: 'read-me' })
    : new Uint8Array();
const skip = missingCompiler;

/** Readers of the fields in the ELF header by name, for changing them. */
const at = {
  e_version: 20,
  e_shoff: 40,
  e_ehsize: 52,
  e_shentsize: 58,
  e_shnum: 60,
  e_shstrndx: 62,
} as const;

function changed(change: (view: DataView, sectionHeader: (index: number) => number) => void): () => unknown {
  const bytes = object.slice();
  const view = new DataView(bytes.buffer);
  const shoff = Number(view.getBigUint64(at.e_shoff, true));
  change(view, index => shoff + index * 64);
  return () => readElf(bytes, 'x.o');
}

test('sections are what readelf says', { skip }, () => {
  const file = readElf(object, 'x.o');
  const lines = readelfText(object, ['-SW']).matchAll(
    /^ {2}\[ *(\d+)\] (\S*) +(\S+) +([0-9a-f]{16}) ([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]{2}) +[A-Zolx]* +(\d+) +(\d+) +(\d+)$/gm,
  );
  const expected = Array.from(lines, ([, index, name, , , offset, size, entsize, link, info, align]) => [
    Number(index),
    name,
    Number(`0x${offset}`),
    Number(`0x${size}`),
    Number(`0x${entsize}`),
    Number(link),
    Number(info),
    Number(align),
  ]);
  assert.ok(expected.length > 8);
  assert.deepEqual(
    file.sections
      .slice(1)
      .map(s => [
        s.index,
        s.name,
        s.sh_offset,
        s.sh_size,
        s.sh_entsize,
        s.sh_link,
        s.sh_info,
        s.sh_addralign,
      ]),
    expected.slice(1),
  );
  assert.equal(file.header.e_type, ET.REL);
  assert.equal(file.header.e_machine, EM.X86_64);
  assert.equal(file.header.byteOrder, 'little');
});

test('symbols have their name, place and kind', { skip }, () => {
  const { symbols, sections } = readElf(object, 'x.o');
  const named = (name: string) => symbols.find(symbol => symbol.name === name)!;
  const fields = (name: string) => {
    const { bind, type, st_shndx, section, st_size } = named(name);
    return { bind, type, st_shndx, section: section?.name, size: Number(st_size) };
  };
  const indexOf = (name: string) => sections.findIndex(section => section.name === name);
  assert.deepEqual(fields('read-me.c'), {
    bind: STB.LOCAL,
    type: STT.FILE,
    st_shndx: SHN.ABS,
    section: undefined,
    size: 0,
  });
  assert.deepEqual(fields('weak'), {
    bind: STB.WEAK,
    type: STT.OBJECT,
    st_shndx: indexOf('.data'),
    section: '.data',
    size: 4,
  });
  assert.deepEqual(fields('zeroed'), {
    bind: STB.GLOBAL,
    type: STT.OBJECT,
    st_shndx: indexOf('.bss'),
    section: '.bss',
    size: 16,
  });
  assert.deepEqual(fields('elsewhere'), {
    bind: STB.GLOBAL,
    type: STT.NOTYPE,
    st_shndx: SHN.UNDEF,
    section: undefined,
    size: 0,
  });
  assert.equal(fields('function').section, '.text.function');
  assert.equal(named('function').section?.bytes.length, Number(named('function').st_size));
});

test('nothing is copied, and SHT_NOBITS has a size but no bytes', { skip }, () => {
  const { sections } = readElf(object, 'x.o');
  const bss = sections.find(({ name }) => name === '.bss')!;
  assert.equal(bss.sh_type, SHT.NOBITS);
  assert.deepEqual([bss.sh_size, bss.bytes.length], [16, 0]);
  for (const section of sections) {
    if (section.bytes.length > 0) assert.equal(section.bytes.buffer, object.buffer);
  }
});

test('segments of an executable are read', { skip }, () => {
  const executable = compileC('int main(void) { return 0; }', [], { link: true });
  const file = readElf(executable, 'main');
  const [, expected] = /There are (\d+) program headers/.exec(readelfText(executable, ['-lW'])) ?? [];
  assert.equal(file.segments.length, Number(expected));
  const text = file.segments.find(({ p_flags }) => p_flags === 5)!;
  assert.ok(file.header.e_entry >= text.p_vaddr && file.header.e_entry < text.p_vaddr + text.p_memsz);
});

test('a file that is not ELF64 is refused by what it is', { skip }, () => {
  assert.throws(() => readElf(Buffer.from('Hello, this is text'), 'notes.txt'), {
    code: 'elf-foreign',
    message: "cannot read 'notes.txt' as ELF: it begins with 48 65 6c 6c, not 7f 45 4c 46",
  });
  assert.throws(() => readElf(compileC('', ['-m32'], { language: 'assembler' }), 'old.ko'), {
    code: 'elf-class',
    message: "cannot read 'old.ko': ELFCLASS32, only 64-bit ELF files are supported",
  });
  assert.throws(
    changed(view => view.setUint8(5, 3)),
    { code: 'elf-class', message: /byte order 3/ },
  );
  assert.throws(
    changed(view => view.setUint8(4, 9)),
    { code: 'elf-class', message: /class 9/ },
  );
  assert.throws(() => readElf(new Uint8Array(0), 'empty.ko'), { code: 'elf-truncated' });
});

test('wherever a file is cut off, it is refused', { skip }, () => {
  const { sections } = readElf(object, 'x.o');
  const shoff = Number(new DataView(object.buffer).getBigUint64(at.e_shoff, true));
  const cuts = new Set([0, 1, 4, 15, 16, 63, 64]);
  // gas writes the section headers last, so a cut anywhere loses one of them.
  for (const { index, sh_offset, sh_size } of sections) {
    for (const edge of [sh_offset, sh_offset + sh_size, shoff + index * 64, shoff + index * 64 + 63])
      cuts.add(edge);
  }
  for (const cut of cuts) {
    if (cut >= object.length) continue;
    assert.throws(() => readElf(object.subarray(0, cut), 'x.o'), { code: 'elf-truncated' }, `cut at ${cut}`);
  }
});

test('a section beyond the end is refused by name', { skip }, () => {
  const text = readElf(object, 'x.o').sections.find(({ name }) => name === '.text.function')!;
  assert.throws(
    changed((view, header) => view.setBigUint64(header(text.index) + 32, 0x10000n, true)),
    {
      code: 'elf-truncated',
      message: new RegExp(
        `^cannot read section ${text.index} '\\.text\\.function' of 'x\\.o': 65536 bytes at byte 0x`,
      ),
    },
  );
  assert.throws(
    changed((view, header) => view.setBigUint64(header(text.index) + 24, 1n << 60n, true)),
    {
      code: 'elf-truncated',
      message: new RegExp(
        `^cannot read sh_offset of section header ${text.index} of section header table of 'x\\.o'`,
      ),
    },
  );
});

test('header fields that ELF64 fixes are checked', { skip }, () => {
  const refuse = (change: Parameters<typeof changed>[0], message: RegExp) =>
    assert.throws(changed(change), { code: 'elf-malformed', message });
  refuse(view => view.setUint32(at.e_version, 2, true), /e_version is 2, not 1/);
  refuse(view => view.setUint16(at.e_ehsize, 52, true), /e_ehsize is 52, not 64/);
  refuse(view => view.setUint16(at.e_shentsize, 40, true), /e_shentsize is 40, not 64/);
  refuse(view => view.setUint16(at.e_shstrndx, 600, true), /e_shstrndx is 600, the file has \d+ sections/);
  refuse(
    view => view.setUint16(at.e_shstrndx, 1, true),
    /e_shstrndx is 1, which is of type 1 and not SHT_STRTAB/,
  );
  refuse(view => view.setBigUint64(at.e_shoff, 0n, true), /e_shoff is 0 but e_shnum is \d+/);
});

test('links, alignments and symbols that name nothing are refused', { skip }, () => {
  const { sections, symbols } = readElf(object, 'x.o');
  const rela = sections.find(({ sh_type }) => sh_type === SHT.RELA)!.index;
  const symtab = sections.find(({ sh_type }) => sh_type === SHT.SYMTAB)!;
  const refuse = (change: Parameters<typeof changed>[0], message: RegExp) =>
    assert.throws(changed(change), { code: 'elf-malformed', message });
  refuse(
    (view, header) => view.setUint32(header(rela) + 40, 99, true),
    /sh_link of section \d+ '\.rela\.\S+' is 99, the file has/,
  );
  refuse(
    (view, header) => view.setUint32(header(rela) + 44, 99, true),
    /sh_info of section \d+ '\.rela\.\S+' is 99/,
  );
  refuse(
    (view, header) => view.setBigUint64(header(rela) + 48, 3n, true),
    /sh_addralign of section \d+ '\S+' is 3, not a power of two/,
  );
  refuse(
    (view, header) => view.setBigUint64(header(symtab.index) + 56, 16n, true),
    /sh_entsize of section \d+ '\.symtab' is 16/,
  );
  refuse(
    (view, header) => view.setBigUint64(header(symtab.index) + 32, 25n, true),
    /sh_size of section \d+ '\.symtab' is 25/,
  );
  refuse(
    (view, header) => view.setUint32(header(symtab.index) + 40, 1, true),
    /sh_link of section \d+ '\.symtab' is 1, not a string table/,
  );
  const last = symtab.sh_offset + (symbols.length - 1) * 24;
  refuse(
    view => view.setUint32(last, 0x7fffffff, true),
    /cannot read st_name of symbol \d+ of 'x\.o': offset 2147483647/,
  );
  refuse(view => view.setUint16(last + 6, 99, true), /st_shndx of symbol \d+ is 99, the file has/);
  refuse(
    view => view.setUint16(last + 6, SHN.XINDEX, true),
    /is SHN_XINDEX, but there is no SHT_SYMTAB_SHNDX/,
  );
});

test('two symbol tables are refused', { skip }, () => {
  const { sections } = readElf(object, 'x.o');
  const symtab = sections.find(({ sh_type }) => sh_type === SHT.SYMTAB)!;
  assert.throws(
    changed((view, header) => view.setUint32(header(symtab.index - 1) + 4, SHT.SYMTAB, true)),
    { code: 'elf-unsupported', message: /are both symbol tables/ },
  );
});

test('many symbols with long shared names do not cost their product', { skip }, () => {
  // 20,000 symbols whose names all run to the end of one string of 10,000 bytes, and one file of 500 kB.
  const count = 20_000;
  const bytes = hostileNames(count, 10_000);
  const start = performance.now();
  assert.equal(readElf(bytes, 'x.o').symbols.length, count);
  assert.ok(performance.now() - start < 2000);
});

function hostileNames(count: number, nameLength: number): Uint8Array {
  const symtabAt = 64;
  const strtabAt = symtabAt + count * 24;
  const shoff = Math.ceil((strtabAt + nameLength + 1) / 8) * 8;
  const bytes = new Uint8Array(shoff + 3 * 64);
  bytes.set(object.subarray(0, 64));
  bytes.fill(0x61, strtabAt, strtabAt + nameLength);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < count; index++) view.setUint32(symtabAt + index * 24, index % nameLength, true);
  view.setBigUint64(at.e_shoff, BigInt(shoff), true);
  view.setUint16(at.e_shnum, 3, true);
  view.setUint16(at.e_shstrndx, 0, true);
  const header = (
    index: number,
    type: number,
    offset: number,
    size: number,
    link: number,
    entsize: number,
  ) => {
    const place = shoff + index * 64;
    view.setUint32(place + 4, type, true);
    view.setBigUint64(place + 24, BigInt(offset), true);
    view.setBigUint64(place + 32, BigInt(size), true);
    view.setUint32(place + 40, link, true);
    view.setBigUint64(place + 56, BigInt(entsize), true);
  };
  header(1, SHT.SYMTAB, symtabAt, count * 24, 2, 24);
  header(2, SHT.STRTAB, strtabAt, nameLength + 1, 0, 0);
  return bytes;
}
