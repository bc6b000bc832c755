import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readElf } from '@kstitch/elf/read';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { FtraceSites, moduleFtraceSites, readFtraceSites } from './ftrace-sites.ts';
import { Kallsyms } from './kallsyms.ts';
import { KernelImage } from './kernel-image.ts';

test('sites are found by address, whatever their order', () => {
  const sites = new FtraceSites(BigUint64Array.of(0x30n, 0x10n, 0x20n));
  assert.equal(sites.count, 3);
  assert.deepEqual([...sites], [0x10n, 0x20n, 0x30n]);
  assert.ok(sites.has(0x20n));
  assert.ok(!sites.has(0x21n));
  assert.equal(sites.firstFrom(0x11n), 0x20n);
  assert.equal(sites.firstFrom(0x20n), 0x20n);
  assert.equal(sites.firstFrom(0x31n), undefined);
  assert.ok(!new FtraceSites(new BigUint64Array(0)).has(0n));
});

const source = `
  int first(int x) { return x + 1; }
  int __attribute__((no_instrument_function)) untraced(int x) { return x + 2; }
  int __attribute__((noinline)) second(int x) { return x * 3; }
`;
const traced = ['-pg', '-mfentry', '-mrecord-mcount'];

function sitesByName(flags: readonly string[]): Map<string, number> {
  const elf = readElf(compileC(source, flags), 'unit.o');
  return new Map(
    moduleFtraceSites(elf).map(({ section, offset }) => {
      const symbol = elf.symbols.find(
        ({ type, st_shndx, st_value, st_size }) =>
          type === 2 && st_shndx === section && offset >= st_value && offset < st_value + st_size,
      );
      return [symbol?.name ?? '', offset - Number(symbol?.st_value)];
    }),
  );
}

test('sites of an object file are those that gcc recorded', { skip: missingCompiler }, () => {
  assert.deepEqual(
    [...sitesByName([...traced, '-fcf-protection=none'])],
    [
      ['first', 0],
      ['second', 0],
    ],
  );
  assert.deepEqual(
    [...sitesByName([...traced, '-fcf-protection=none', '-ffunction-sections'])],
    [
      ['first', 0],
      ['second', 0],
    ],
  );
});

test('with CET they stand behind the ENDBR', { skip: missingCompiler }, () => {
  assert.deepEqual(
    [...sitesByName([...traced, '-fcf-protection=branch'])],
    [
      ['first', 4],
      ['second', 4],
    ],
  );
});

test('an object without sites has none', { skip: missingCompiler }, () => {
  assert.deepEqual(moduleFtraceSites(readElf(compileC(source), 'unit.o')), []);
});

test('a site outside of the file is refused', { skip: missingCompiler }, () => {
  for (const place of ['elsewhere', 'here + 1', 'here - 1']) {
    const assembler = `.text\nhere: ret\n.section __mcount_loc, "a"\n.quad ${place}\n`;
    assert.throws(
      () => moduleFtraceSites(readElf(compileC(assembler, [], { language: 'assembler' }), 'unit.o')),
      {
        code: 'kernel-ftrace-sites',
        message:
          "cannot read the ftrace sites of 'unit.o': byte 0 of '__mcount_loc' refers to no place in the file",
      },
    );
  }
});

/** A linked image whose linker made `__start_mcount_loc` and `__stop_mcount_loc`, and its symbols as kallsyms. */
function linked(further: string, without?: string): { image: KernelImage; kallsyms: Kallsyms } {
  const fentry = 'asm(".globl __fentry__, _start; __fentry__: _start: ret");';
  // The linker names the ends of a section itself when that is called like an identifier.
  const ends =
    'extern char __start___mcount_loc[], __stop___mcount_loc[]; const void *ends[] = { __start___mcount_loc, __stop___mcount_loc };';
  const elf = readElf(
    compileC(
      `${fentry}${ends}${source}${further}`,
      [
        ...traced,
        '-fcf-protection=none',
        '-mcmodel=kernel',
        '-nostdlib',
        '-static',
        '-Wl,-Ttext=0xffffffff81000000',
      ],
      { link: true },
    ),
    'vmlinux',
  );
  const symbols = elf.symbols
    .filter(({ name }) => name !== '' && name !== without)
    .sort((a, b) => (a.st_value < b.st_value ? -1 : 1));
  const names = symbols.map(({ name }) => name.replace('___mcount_loc', '_mcount_loc'));
  const starts = [0];
  for (const name of names) starts.push((starts.at(-1) ?? 0) + name.length);
  const kallsyms = new Kallsyms(
    BigUint64Array.from(symbols, ({ st_value }) => st_value),
    {
      text: Buffer.from(names.join('')),
      starts: Uint32Array.from(starts),
      types: Buffer.alloc(names.length, 't'),
    },
  );
  return { image: new KernelImage(elf), kallsyms };
}

test('sites of an image are between the two symbols', { skip: missingCompiler }, () => {
  const { image, kallsyms } = linked('');
  const sites = readFtraceSites(image, kallsyms);
  assert.equal(sites.count, 2);
  for (const name of ['first', 'second']) assert.ok(sites.has(kallsyms.named(name)[0]!.address), name);
  assert.ok(!sites.has(kallsyms.named('untraced')[0]!.address));
});

test('empty entries are left out, entries that are no place refused', { skip: missingCompiler }, () => {
  const entry = (value: string) => `asm(".section __mcount_loc,\\"a\\"; .quad ${value}; .text");`;
  const empty = linked(entry('0'));
  assert.equal(readFtraceSites(empty.image, empty.kallsyms).count, 2);
  const strange = linked(entry('0x1234'));
  assert.throws(() => readFtraceSites(strange.image, strange.kallsyms), {
    code: 'kernel-ftrace-sites',
    message: "cannot read the ftrace sites of 'vmlinux': the site 0x1234 is outside of the image",
  });
});

test('a kernel without ftrace is refused', { skip: missingCompiler }, () => {
  const { image, kallsyms } = linked('', '__start___mcount_loc');
  assert.throws(() => readFtraceSites(image, kallsyms), {
    code: 'kernel-ftrace-sites',
    message: "cannot read the ftrace sites of 'vmlinux': kallsyms has no '__start_mcount_loc'",
  });
});
