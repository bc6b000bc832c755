import assert from 'node:assert/strict';
import { test } from 'node:test';
import { x86_64 } from '@kstitch/arch/x86-64';
import { readElf } from '@kstitch/elf/read';
import { compileC } from '@kstitch/testkit/compile';
import { kernelFlags, sectionFlags } from '@kstitch/testkit/small-kernel';
import { diffObjects } from './diff-objects.ts';
import { explain } from './explain.ts';

function objectsOf(before: string, after: string) {
  const compile = (source: string) => readElf(compileC(source, [...kernelFlags, ...sectionFlags]), 'unit.o');
  return diffObjects(compile(before), compile(after), x86_64);
}

test('explain() shows where a function first differs, on both sides', () => {
  const source = 'int f(int x) { return x * 3 + 7; } int g(int x) { return x; }';
  const objects = objectsOf(source, source.replace('+ 7', '+ 8'));
  const { verdict, before, after } = explain(objects, 'f');
  assert.equal(verdict, 'changed');
  assert.ok(before.some(line => line.differs) && after.some(line => line.differs));
  assert.equal(explain(objects, 'g').verdict, 'same');
});

test('explain() refuses a function that neither object has', () => {
  const objects = objectsOf('int f(int x) { return x; }', 'int f(int x) { return x; }');
  assert.throws(() => explain(objects, 'absent'), { code: 'function-not-in-objects' });
});
