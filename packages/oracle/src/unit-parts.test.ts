import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missingCompiler } from '@kstitch/testkit/compile';
import { compiled, partNamed, sideOf } from './test-units.ts';
import type { Meaning } from './unit-parts.ts';

const skip = missingCompiler;

/** What the relocations of a function mean, in their order. */
async function meaningsIn(source: string, name: string): Promise<readonly string[]> {
  const side = await sideOf(compiled(source));
  const { section, start, size } = partNamed(side, name);
  return side.unit.object
    .relocationsIn(section.index, start, size)
    .map(relocation => words(side.unit.meaning(section, relocation)));
}

function words(meaning: Meaning): string {
  switch (meaning.kind) {
    case 'external':
      return `external ${meaning.name}`;
    case 'string':
      return JSON.stringify(meaning.text) + (meaning.offset === 0 ? '' : `+${meaning.offset}`);
    case 'part':
      return `${meaning.part.name}+${meaning.offset}`;
    case 'nameless':
      return `nameless of ${meaning.size} bytes at ${meaning.offset}`;
  }
}

test('meaning() counts from the end of the instruction where several objects share a section', {
  skip,
}, async () => {
  const shared = `static __attribute__((section(".data.shared"), used)) volatile`;
  const source = `
    ${shared} char a[4] = {1}; ${shared} char b[4] = {1}; ${shared} int c = 1;
    int f(void) { b[0] = 1; c = 0x11223344; return a[3]; }`;
  assert.deepEqual(await meaningsIn(source, 'f'), ['b+0', 'c+0', 'a+3']);
});

test('meaning() knows the end of a static table from the global that lies behind it', { skip }, async () => {
  const shared = '__attribute__((section(".data.shared")))';
  const source = `
    int g(int); int ${shared} other = 1; static int ${shared} table[4] = {1};
    int f(void) { int sum = 0; for (int *at = table; at < table + 4; at++) sum += g(*at); return sum; }
    int all(void) { other = 2; table[1] = 3; return g(table[2]); }`;
  const meanings = await meaningsIn(source, 'f');
  assert.deepEqual(
    meanings.filter(each => !each.startsWith('external')),
    ['table+0', 'table+16'],
  );
});

test('meaning() knows strings by content and functions by name', { skip }, async () => {
  const source = `
    void g(const char *, const char *);
    __attribute__((noinline)) static void h(void) { asm volatile(""); }
    void f(void) { h(); g("one", "another one"); h(); }`;
  const meanings = await meaningsIn(source, 'f');
  assert.ok(meanings.includes('"another one"') && meanings.includes('"one"'));
  assert.equal(meanings.filter(each => each === 'h+0').length, 2);
  assert.ok(meanings.includes('external g'));
});

test('meaning() knows a text by its whole, wherever in it or behind it the code begins', {
  skip,
}, async () => {
  const source = `
    int g(int); int f(long i) { return "abcdefgh"[i + 1]; }
    void k(void) { for (const char *at = "mnop"; at < "mnop" + 5; at++) g(*at); }`;
  assert.deepEqual(await meaningsIn(source, 'f'), ['"abcdefgh"+1']);
  const walked = await meaningsIn(source, 'k');
  assert.deepEqual(
    walked.filter(each => each.startsWith('"')),
    ['"mnop"', '"mnop"+5'],
  );
});

test('a branch that the assembler resolved means the function that it leads to', { skip }, async () => {
  const near = '__attribute__((section(".sched.text"), noinline))';
  const source = `
    int x(int); static ${near} int a(int i) { return x(i) * 3; } static ${near} int b(int i) { return x(i) + 7; }
    ${near} int f(int i) { while (x(i)) i += b(i); return a(i) + 1; }`;
  const meanings = await meaningsIn(source, 'f');
  assert.deepEqual(meanings.toSorted(), ['a+0', 'b+0', 'external x']);
  // The distance is no part of the function: in a livepatch it is another.
  const { unit } = await sideOf(compiled(source));
  const { section } = unit.named('f')[0]!;
  for (const { offset, listedIn } of unit.object.relocations(section.index)) {
    if (listedIn === '') assert.equal(unit.object.bytes(section, offset, 4).readInt32LE(0), 0);
  }
});

test('meaning() cuts code without a name where the next piece begins', { skip }, async () => {
  const source = `
    void f(void) {
      asm volatile("jmp 661f\\n662:\\n.pushsection .altinstr_aux,\\"ax\\"\\n661: nop\\n nop\\n jmp 662b\\n.popsection");
      asm volatile("jmp 661f\\n662:\\n.pushsection .altinstr_aux,\\"ax\\"\\n661: nop\\n jmp 662b\\n.popsection");
    }`;
  assert.deepEqual(await meaningsIn(source, 'f'), ['nameless of 7 bytes at 0', 'nameless of 6 bytes at 0']);
});

test('readTables() takes the size of entries from the table', { skip }, async () => {
  const entry = (code: string) =>
    `asm volatile("1: ${code}\\n.pushsection __ex_table,\\"a\\"\\n.long 1b - ., 2f - ., 7\\n.popsection\\n2:");`;
  const side = await sideOf(
    compiled(`void f(void) { ${entry('nop')} } void g(void) { ${entry('nop')} ${entry('ud2')} }`),
  );
  assert.equal(side.tables.entrySizes.get('__ex_table'), 12);
  assert.deepEqual(
    side.tables.of.get(partNamed(side, 'f'))?.map(({ at, size }) => [at, size]),
    [[0, 12]],
  );
  assert.deepEqual(
    side.tables.of.get(partNamed(side, 'g'))?.map(({ at }) => at),
    [0, 1],
  );
});

test('readTables() does not guess where a table is no whole number of entries', { skip }, async () => {
  const source = `void f(void) {
    asm volatile("1:.pushsection __ex_table,\\"a\\"\\n.long 1b - ., 1b - ., 7\\n.long 1b - ., 1b - .\\n.popsection"); 
    asm volatile("1:.pushsection __ex_table,\\"a\\"\\n.long 1b - ., 1b - ., 7\\n.popsection"); }`;
  const path = compiled(source);
  await assert.rejects(sideOf(path), { code: 'oracle-unreadable' });
});
