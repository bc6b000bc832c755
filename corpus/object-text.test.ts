import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { normaliseNames, readObjectText } from './object-text.ts';
import { compareTexts, showObject } from './second-opinion.ts';

const root = await mkdtemp(join(tmpdir(), 'kstitch-text-'));
after(() => rm(root, { recursive: true }));

/** Compiles as the kernel is compiled, as far as it matters here, and asks objdump. */
async function textOf(source: string) {
  const object = join(root, 'unit.o');
  const flags = [
    '-mcmodel=kernel',
    '-fno-asynchronous-unwind-tables',
    '-ffunction-sections',
    '-fdata-sections',
  ];
  await writeFile(object, compileC(source, flags));
  return readObjectText(await showObject(object));
}

const skip = { skip: missingCompiler };
const declarations = 'int printk(const char *, ...); int other(int *);\n';
const logging = (name: string, words: string) =>
  `int ${name}(int x) { static int count; printk("${words}"); return other(&count) + x; }\n`;

test('normaliseNames() drops counted numbers and keeps what strings are kept in', () => {
  assert.equal(normaliseNames('__func__.123'), '__func__.N');
  assert.equal(normaliseNames('f.constprop.0.cold'), 'f.constprop.N.cold');
  assert.equal(normaliseNames('__UNIQUE_ID_ddebug353.27'), '__UNIQUE_ID_ddebugN.N');
  assert.equal(normaliseNames('__BTF_ID__struct__nf_conn__760189'), '__BTF_ID__struct__nf_conn__N');
  assert.equal(normaliseNames('.rodata.str1.8'), '.rodata.str1.8');
});

test('a function is the same wherever its strings and static variables are counted', skip, async () => {
  const f = logging('f', 'words of f');
  const before = await textOf(declarations + f);
  const later = await textOf(`${declarations}${logging('new', 'words of f, and more')}${f}`);
  assert.deepEqual(later.functions.get('f'), before.functions.get('f'));
  assert.match(before.functions.get('f')?.join() ?? '', /string "words of f"/);
  const difference = compareTexts(before, later);
  assert.deepEqual(difference.changed, []);
  assert.deepEqual(difference.single, ['new']);
});

test('a function differs by one byte of an instruction, by a callee, by a word', skip, async () => {
  const before = await textOf(declarations + logging('f', 'words'));
  const ways = [
    logging('f', 'words').replace('+ x', '- x'),
    logging('f', 'words').replace('other(&count)', 'printk((char *)&count)'),
    logging('f', 'Words'),
  ];
  for (const way of ways) {
    assert.deepEqual(compareTexts(before, await textOf(declarations + way)).changed, ['f'], way);
  }
});

test('a descriptor in a shared section is known by its contents, not by its place', skip, async () => {
  const descriptor = (line: number) =>
    `static struct { const char *text; int line; } __UNIQUE_ID_d${line} __attribute__((section("__d"), used)) = { "text", ${line} };\n`;
  const use = (line: number) =>
    `int other(int *); int f(void) { return other((int *)&__UNIQUE_ID_d${line}); }\n`;
  const before = await textOf(descriptor(7) + use(7));
  const moved = await textOf(
    `${descriptor(8)}int g(void) { return __UNIQUE_ID_d8.line; }\n${descriptor(7)}${use(7)}`,
  );
  assert.deepEqual(compareTexts(before, moved).changed, []);
  const changed = await textOf(descriptor(9) + use(9));
  assert.deepEqual(compareTexts(before, changed).changed, ['f']);
});

test('code without a symbol is known by its instructions, not by its place', skip, async () => {
  const use = (name: string, bit: number) => `
    int ${name}(int x)
    {
      __asm__ goto("jmp 6f\\n.pushsection .altinstr_aux,\\"ax\\"\\n6: testb $${bit}, caps+4(%%rip)\\njnz %l[yes]\\njmp %l[no]\\n.popsection" : : : : yes, no);
    yes: return x + 1;
    no: return x;
    }`;
  const before = await textOf(use('f', 1) + use('g', 2));
  assert.deepEqual(compareTexts(before, await textOf(use('g', 2))).changed, []);
  assert.deepEqual(compareTexts(before, await textOf(use('f', 1) + use('g', 4))).changed, ['g']);
});

test('initial data, its relocations and the size of zeroed data are compared', skip, async () => {
  const source = 'extern int a, b; int *where = &a; int value = 1; int zeroed[4];\n';
  const before = await textOf(source);
  const dataOf = async (changed: string) => compareTexts(before, await textOf(changed)).data;
  assert.deepEqual(await dataOf(source), []);
  assert.deepEqual(await dataOf(source.replace('&a', '&b')), ['.data.where']);
  assert.deepEqual(await dataOf(source.replace('= 1', '= 2')), ['.data.value']);
  assert.deepEqual(await dataOf(source.replace('[4]', '[5]')), ['.bss.zeroed']);
});

test('a function in a shared section is the same whatever stands before it and behind it', skip, async () => {
  const shared = (name: string, body: string) =>
    `__attribute__((section(".shared.text"), noinline)) static int ${name}(int x) { ${body} }\n`;
  const user = 'int other(void *); int f(void) { return other(g); }\n';
  const before = await textOf(`int other(void *);\n${shared('g', 'return x + 1;')}${user}`);
  const later = await textOf(
    `int other(void *);\n${shared('e', 'return other((void *)(long)x) + 7;')}${shared('g', 'return x + 1;')}${user}int h(void) { return other(e); }\n`,
  );
  assert.deepEqual(compareTexts(before, later).changed, []);
});

test('a table of entries is the same in another order, not with other contents', skip, async () => {
  const warn = (name: string, line: number) =>
    `void ${name}(void) { asm volatile("1: ud2\\n.pushsection __bug_table,\\"aw\\"\\n.long 1b - ., file - .\\n.word ${line}\\n.popsection"); }\n`;
  const file = 'asm(".section .text\\nfile: .byte 0");\n';
  const before = await textOf(file + warn('f', 7) + warn('g', 8));
  assert.match(before.data.get('__bug_table')?.join() ?? '', /0700; \+0 R_X86_64_PC32 f\+/);
  assert.deepEqual(compareTexts(before, await textOf(file + warn('g', 8) + warn('f', 7))).data, []);
  assert.deepEqual(compareTexts(before, await textOf(file + warn('g', 7) + warn('f', 8))).data, [
    '__bug_table',
  ]);
});
