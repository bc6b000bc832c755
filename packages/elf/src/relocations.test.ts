import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileC, missingCompiler, readelfText } from '@kstitch/testkit/compile';
import { editElf } from './edit.ts';
import type { ElfFile } from './model.ts';
import { readElf } from './read.ts';
import { readRelocations, relocationSectionsOf } from './relocations.ts';
import { writeElf } from './write.ts';

const source = `
  extern int printf(const char *, ...);
  extern long table[];
  long *pointer = &table[3];
  int call(int n) { return printf("%d %ld\\n", n, table[n]); }
`;
const object = missingCompiler === false ? compileC(source) : new Uint8Array();

/** The relocations as `readelf -rW` prints them: offset, type, symbol's name. */
function readelfRelocations(bytes: Uint8Array): string[] {
  const lines = readelfText(bytes, ['-rW']).matchAll(
    /^([0-9a-f]{16}) +[0-9a-f]{8}([0-9a-f]{8}) +R_\w+ +[0-9a-f]{16} (\S+) ([+-]) ([0-9a-f]+)$/gm,
  );
  return Array.from(
    lines,
    ([, offset, type, name, sign, addend]) =>
      `${Number(`0x${offset}`)} ${Number(`0x${type}`)} ${name} ${sign}${Number(`0x${addend}`)}`,
  );
}

function ownRelocations(file: ElfFile): string[] {
  return [...relocationSectionsOf(file).values()].flat().flatMap(section =>
    readRelocations(file, section).map(({ r_offset, r_type, r_sym, r_addend }) => {
      const { name, section: defined } = file.symbols[r_sym]!;
      const sign = r_addend < 0n ? '' : '+';
      return `${r_offset} ${r_type} ${name === '' ? defined?.name : name} ${sign}${r_addend}`;
    }),
  );
}

test('relocations are what readelf says', { skip: missingCompiler }, () => {
  const expected = readelfRelocations(object);
  assert.ok(expected.length >= 5);
  assert.deepEqual(ownRelocations(readElf(object, 'x.o')).sort(), expected.sort());
});

test('addresses of sections mean nothing in a relocatable file', { skip: missingCompiler }, () => {
  const { builder } = editElf(readElf(object, 'x.o'));
  // As `ld -r` with a linker script writes modules of Linux 6.12.
  for (const section of builder.sections()) section.sh_addr = 0x80n;
  const moved = writeElf(builder);
  assert.deepEqual(readelfRelocations(moved), readelfRelocations(object));
  assert.deepEqual(ownRelocations(readElf(moved, 'x.o')), ownRelocations(readElf(object, 'x.o')));
});

test('a target can have several relocation sections', { skip: missingCompiler }, () => {
  const { builder } = editElf(readElf(object, 'x.o'));
  const target = builder.sectionsNamed('.text')[0]!.id;
  builder.addSection({
    name: '.klp.rela.vmlinux..text',
    sh_flags: 0x00100002,
    content: { kind: 'relocations', target, entries: [] },
  });
  const file = readElf(writeElf(builder), 'x.o');
  const text = file.sections.find(({ name }) => name === '.text')!;
  assert.deepEqual(
    relocationSectionsOf(file)
      .get(text.index)!
      .map(({ name, sh_flags, sh_info }) => [name, sh_flags, sh_info]),
    [
      ['.rela.text', 0x40, text.index],
      ['.klp.rela.vmlinux..text', 0x00100002, text.index],
    ],
  );
});

test('in an executable with relocations kept offsets count from the section', {
  skip: missingCompiler,
}, () => {
  const executable = compileC(
    'int x = 1; int *p = &x; int main(void) { return *p; }',
    ['-Wl,--emit-relocs'],
    { link: true },
  );
  const file = readElf(executable, 'main');
  const data = file.sections.find(({ name }) => name === '.data')!;
  const [section] = relocationSectionsOf(file).get(data.index)!;
  const entry = readRelocations(file, section!).find(({ r_sym }) => file.symbols[r_sym]!.name === 'x');
  const pointer = file.symbols.find(({ name }) => name === 'p')!;
  assert.equal(BigInt(entry!.r_offset), pointer.st_value - data.sh_addr);
  assert.ok(data.sh_addr > 0n);
  assert.deepEqual(ownRelocations(readElf(writeElf(editElf(file).builder), 'main')), ownRelocations(file));
});

test('what is not SHT_RELA of this symbol table is refused', { skip: missingCompiler }, () => {
  const file = readElf(object, 'x.o');
  const section = file.sections.find(({ name }) => name === '.rela.text')!;
  const refuse = (change: object, code: string, message: RegExp) =>
    assert.throws(() => readRelocations(file, { ...section, ...change }), { code, message });
  refuse({ sh_type: 9 }, 'elf-unsupported', /SHT_REL, only SHT_RELA is supported/);
  refuse({ sh_type: 1 }, 'elf-malformed', /sh_type is 1, not SHT_RELA/);
  refuse({ sh_entsize: 16 }, 'elf-malformed', /sh_entsize is 16/);
  refuse({ sh_size: 25 }, 'elf-malformed', /sh_size is 25/);
  refuse({ sh_link: 1 }, 'elf-unsupported', /sh_link 1 is not the symbol table/);
  refuse({ sh_info: 0 }, 'elf-malformed', /sh_info 0 names no section/);
});

test('a symbol or an offset that is not there is refused', { skip: missingCompiler }, () => {
  const section = readElf(object, 'x.o').sections.find(({ name }) => name === '.rela.text')!;
  const broken = (change: (view: DataView) => void) => {
    const bytes = object.slice();
    change(new DataView(bytes.buffer, section.sh_offset));
    const file = readElf(bytes, 'x.o');
    return () => readRelocations(file, file.sections[section.index]!);
  };
  assert.throws(
    broken(view => view.setUint32(12, 500, true)),
    {
      code: 'elf-malformed',
      message:
        /cannot read relocations of section \d+ '\.rela\.text' of 'x\.o': entry 0 refers to symbol 500/,
    },
  );
  assert.throws(
    broken(view => view.setUint32(4, 1, true)),
    {
      code: 'elf-malformed',
      message: /entry 0 is at byte 42949\d+ of '\.text', which has \d+ bytes/,
    },
  );
});
