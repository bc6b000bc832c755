import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missingCompiler } from '@kstitch/testkit/compile';
import { compiled, partNamed, sideOf } from './test-units.ts';
import { findTwins } from './twins.ts';

const skip = missingCompiler;

async function changedBetween(before: string, after: string): Promise<readonly string[]> {
  const twins = findTwins(await sideOf(compiled(before)), await sideOf(compiled(after)));
  return twins.changed.map(part => part.name).sort();
}

const user = (body: string) => `int g(const char *, int); ${body}`;

test('findTwins() names the functions that a patch changes', { skip }, async () => {
  assert.deepEqual(
    await changedBetween(
      user('int a(void) { return g("a", 1); } int b(void) { return g("b", 2); } int c(void) { return 3; }'),
      user(
        'int a(void) { return g("A", 1); } int b(void) { return g("b", 2); } int c(void) { return 4; } int d(void) { return 5; }',
      ),
    ),
    ['a', 'c'],
  );
});

test('findTwins() sees through numbers that the compiler gave anew', { skip }, async () => {
  const count = 'static int count; count += g("n", count); return count;';
  const first = 'static int count; return count++;';
  assert.deepEqual(
    await changedBetween(
      user(`int a(void) { ${count} } int b(void) { ${count} }`),
      user(`int z(void) { ${first} } int a(void) { ${count} } int b(void) { ${count} }`),
    ),
    [],
  );
});

test('findTwins() sees through the numbers of BTF ids', { skip }, async () => {
  const source = (n: number) =>
    `asm(".pushsection .BTF_ids,\\"a\\"\\nids:\\n__BTF_ID__struct__s__${n}: .zero 4\\n.size __BTF_ID__struct__s__${n}, 4\\n.type __BTF_ID__struct__s__${n}, @object\\n.popsection");
     extern const int ids[]; int f(void) { return ids[0]; }`;
  assert.deepEqual(await changedBetween(source(760), source(768)), []);
});

test('findTwins() knows what .meminit.text holds, which stays in memory', { skip }, async () => {
  const source = '__attribute__((section(".meminit.text"))) int a(void) { return 1; }';
  const side = await sideOf(compiled(source));
  const twins = findTwins(await sideOf(compiled(source)), side);
  assert.ok(twins.hasNamesake(partNamed(side, 'a')));
});

test('findTwins() takes a function for changed that reads a changed table', { skip }, async () => {
  const table = (value: number) => `static const int table[4] = {1, 2, 3, ${value}};`;
  const functions = 'int a(int i) { return table[i]; } int b(int i) { return g("b", i); }';
  assert.deepEqual(await changedBetween(user(table(4) + functions), user(table(5) + functions)), ['a']);
});

test('findTwins() takes a function for changed of which only a table entry differs', { skip }, async () => {
  const source = (flags: number) =>
    `void f(void) { asm volatile("1: ud2\\n.pushsection __bug_table,\\"aw\\"\\n.long 1b - ., 1b - .\\n.word 1, ${flags}\\n.popsection"); }`;
  assert.deepEqual(await changedBetween(source(1), source(2)), ['f']);
});

test('findTwins() knows that an alternative of no bytes does not hold those that follow it', {
  skip,
}, async () => {
  const alternative = (name: string, code: string) => `
    void ${name}(void) {
      asm volatile("661: nop\\n662:\\n.pushsection .altinstr_replacement,\\"ax\\"\\n663: ${code}\\n664:\\n.popsection\\n"
        ".pushsection .altinstructions,\\"a\\"\\n.long 661b - ., 663b - .\\n.word 7\\n.byte 662b - 661b, 664b - 663b\\n.popsection");
    }`;
  const nothing = alternative('a', '');
  const fence = alternative('b', 'lfence');
  const pause = alternative('c', 'pause');
  assert.deepEqual(await changedBetween(nothing + fence + pause, nothing + pause + fence), []);
  assert.deepEqual(
    await changedBetween(nothing + fence, alternative('a', 'pause') + alternative('b', 'mfence')),
    ['a', 'b'],
  );
});

test('findTwins() tells static locals of one name apart by who refers to them', { skip }, async () => {
  const use = (name: string) => `int ${name}(void) { static int count; return g("${name}", count++); }`;
  const before = await sideOf(compiled(user(use('a') + use('b'))));
  const after = await sideOf(compiled(user(use('n') + use('b') + use('a'))));
  const { beforeOf, isOld, hasNamesake } = findTwins(before, after);
  const countOf = (side: typeof before, name: string) => {
    const { section, start, size } = partNamed(side, name);
    return side.unit.object
      .relocationsIn(section.index, start, size)
      .map(relocation => side.unit.meaning(section, relocation))
      .flatMap(meaning => (meaning.kind === 'part' ? meaning.part : []))[0];
  };
  for (const name of ['a', 'b']) {
    const count = countOf(after, name);
    assert.ok(count);
    assert.equal(beforeOf.get(count), countOf(before, name));
    assert.ok(hasNamesake(count) && !isOld(count), 'one of three was not there before');
  }
  const fresh = countOf(after, 'n');
  assert.ok(fresh && !beforeOf.has(fresh));
});
