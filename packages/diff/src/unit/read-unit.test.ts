import assert from 'node:assert/strict';
import { test } from 'node:test';
import { x86_64 } from '@kstitch/arch/x86-64';
import { readElf } from '@kstitch/elf/read';
import { compileC } from '@kstitch/testkit/compile';
import { entrySizes, kernelFlags, sectionFlags } from '@kstitch/testkit/small-kernel';
import type { Unit } from './atom.ts';
import { readUnit } from './read-unit.ts';

function unitOf(source: string, sizes: Partial<typeof entrySizes> = {}): Unit {
  const bytes = compileC(source, [...kernelFlags, ...sectionFlags]);
  return readUnit(readElf(bytes, 'unit.c'), 'unit.c', x86_64, { ...entrySizes, ...sizes });
}

const bug =
  'asm volatile("1: ud2\\n.pushsection __bug_table,\\"aw\\"\\n.long 1b - .\\n.long 0\\n.long 7\\n.popsection");';

test('readUnit() names what a section-relative reference means, whatever stands behind its field', () => {
  // Two objects in one section, the second reached with an immediate behind the displacement: `movb $1, flag+0(%rip)`.
  const unit = unitOf(`
    static char one __attribute__((section(".data..read_mostly"))) = 5;
    static char two __attribute__((section(".data..read_mostly"))) = 6;
    void f(void) { two = 1; }
    char g(void) { return one; }
    char h(void) { return two; }
  `);
  const targetsOf = (name: string) =>
    unit.atoms
      .find(atom => atom.name === name)!
      .references.flatMap(r =>
        r.target.kind === 'atom' ? [`${r.target.atom.name}+${r.target.offset}`] : [],
      );
  assert.deepEqual(targetsOf('f'), ['two+0']);
  assert.deepEqual(targetsOf('g'), ['one+0']);
});

test('readUnit() leaves open whether the end of a static object is meant or what begins there; functions have no such end', () => {
  const place = (name: string, type: string, size: number) =>
    `.type ${name}, @${type}\\n${name}: .skip ${size}, 0x90\\n.size ${name}, ${size}\\n`;
  const unit = unitOf(`
    __asm__(".section .data..read_mostly,\\"aw\\"\\n${place('table', 'object', 16)}${place('other', 'object', 4)}");
    __asm__(".section .sched.text,\\"ax\\"\\n${place('a', 'function', 16)}${place('b', 'function', 16)}.text");
    long data(void) { long at; __asm__("mov $other, %0" : "=r"(at)); return at; }
    long code(void) { long at; __asm__("mov $b, %0" : "=r"(at)); return at; }
  `);
  const targetsOf = (name: string) =>
    unit.atoms
      .find(atom => atom.name === name)!
      .references.flatMap(({ target }) =>
        target.kind === 'atom' ? [[target.atom.name, target.orEndOf?.name]] : [],
      );
  assert.deepEqual(targetsOf('data'), [['other', 'table']]);
  assert.deepEqual(targetsOf('code'), [['b', undefined]]);
});

test('readUnit() gives each special-section entry to its function', () => {
  const unit = unitOf(`void f(void) { ${bug} ${bug} } void g(void) { ${bug} } void h(void) {}`);
  const counts = unit.atoms
    .filter(atom => atom.kind === 'function')
    .map(atom => [atom.name, atom.entries.filter(entry => entry.section.name === '__bug_table').length]);
  assert.deepEqual(counts, [
    ['f', 2],
    ['g', 1],
    ['h', 0],
  ]);
});

test('readUnit() refuses a table that is not a whole number of entries', () => {
  const error = { code: 'unit-malformed' };
  assert.throws(() => unitOf(`void f(void) { ${bug} }`, { bug: 16 as 12 }), error);
});

test('readUnit() names the functions that a section without a rule refers to', () => {
  const unit = unitOf(`
    void f(void) {}
    void g(void) {}
    static void (*x)(void) __attribute__((used, section("__some_new_table"))) = f;
  `);
  const named = [...unit.namedByUnknown].map(([atom, section]) => [atom.name, section]);
  assert.deepEqual(named, [['f', '__some_new_table']]);
});
