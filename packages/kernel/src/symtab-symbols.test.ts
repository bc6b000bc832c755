import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readElf } from '@kstitch/elf/read';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { KernelImage } from './kernel-image.ts';
import { compareWithKallsyms, readSymtab } from './symtab-symbols.ts';

const skip = missingCompiler;
const base = 0xffffffff81000000n;

function link(source: string, ...flags: string[]): KernelImage {
  const address = `-Wl,-Ttext=0x${base.toString(16)}`;
  const options = ['-nostdlib', '-static', '-Wl,--build-id=none', '-Wl,-e,0', address, ...flags];
  const bytes = compileC(source, options, { language: 'assembler', link: true });
  return new KernelImage(readElf(bytes, 'vmlinux'));
}

const labels = (kind: string, ...names: string[]) =>
  names.map(name => `${kind === '' ? '' : `${kind} "${name}"\n`}"${name}":\n`).join('');

test('symbols of one address stand as kallsyms has them: weak, provided, underscores, then by name', {
  skip,
}, () => {
  const source =
    `.text\n${labels('.globl', '__start_x', '__xyz_end', 'zeta', '__two', '_one')}${labels('.weak', 'aweak')}` +
    `${labels('', 'beta', 'alpha')} nop\n${labels('', 'alpha_2')} nop\n`;
  const table = readSymtab(link(source));
  assert.ok(table);
  const start = [...table].filter(({ address }) => address === base);
  assert.deepEqual(
    start.map(({ type, name }) => `${type} ${name}`),
    ['t alpha', 't beta', 'T zeta', 'T _one', 'T __two', 'T __start_x', 'T __xyz_end', 'W aweak'],
  );
  assert.deepEqual(
    table.at(base + 1n).map(({ name }) => name),
    ['alpha_2'],
  );
});

test('a name in a section that is not loaded is kept where nm has no letter for it, not in a debug section', {
  skip,
}, () => {
  const source = [
    '.text\nf: nop',
    '.section .data_nosave,"w",@progbits\nnosave: .byte 1',
    '.section .debug_x,"",@progbits\ndebug: .byte 1\n',
  ].join('\n');
  const types = new Map([...(readSymtab(link(source)) ?? [])].map(({ type, name }) => [name, type]));
  assert.deepEqual(
    ['f', 'nosave', 'debug'].map(name => types.get(name)),
    ['t', '?', undefined],
  );
});

test('what kallsyms leaves out is left out', { skip }, () => {
  const left = [
    '$x',
    '__crc_f',
    '__kstrtab_f',
    '__kstrtabns_f',
    '__kcfi_typeid_f',
    '__efistub_f',
    'kallsyms_names',
  ];
  const long = 'x'.repeat(600);
  const source = `.text\n${labels('.globl', 'f', 'kallsyms_lookup_name', ...left)} nop\n.globl absolute\nabsolute = 5\n`;
  const found = [...(readSymtab(link(source)) ?? [])].map(({ name }) => name);
  for (const name of left) assert.ok(!found.includes(name), name);
  assert.ok(!found.includes('absolute'));
  assert.ok(found.includes('f') && found.includes('kallsyms_lookup_name'));
  const names = [...(readSymtab(link(`.text\n${labels('.globl', 'f', long)} nop\n`)) ?? [])].map(
    ({ name }) => name,
  );
  // KSYM_NAME_LEN is 512.
  assert.ok(names.includes('f') && !names.includes(long));
});

test('a stripped image has no symbols, and where two tables part is told', { skip }, () => {
  assert.equal(readSymtab(link('.text\n.globl f\nf: nop\n', '-Wl,--strip-all')), undefined);
  const [a, b, c] = [['f', 'g'], ['f', 'h'], ['f']].map(names =>
    readSymtab(link(`.text\n${names.map(name => `${labels('', name)} nop\n`).join('')}`)),
  );
  assert.ok(a && b && c);
  assert.equal(compareWithKallsyms(a, a), undefined);
  assert.match(
    compareWithKallsyms(a, b) ?? '',
    /^kallsyms has 'h' at 0xffffffff81000001, the symbol table 'g' at /,
  );
  assert.match(compareWithKallsyms(a, c) ?? '', /^(?:kallsyms has|the symbol table has) /);
});
