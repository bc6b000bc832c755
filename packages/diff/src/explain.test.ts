import assert from 'node:assert/strict';
import { test } from 'node:test';
import { x86_64 } from '@kstitch/arch/x86-64';
import { readElf } from '@kstitch/elf/read';
import { compileC } from '@kstitch/testkit/compile';
import { kernelFlags, sectionFlags } from '@kstitch/testkit/small-kernel';
import { diffObjects } from './diff-objects.ts';
import { type Explanation, explain } from './explain.ts';

function explained(before: string, after: string, name: string): Explanation {
  const [b, a] = [before, after].map(source =>
    readElf(compileC(source, [...kernelFlags, ...sectionFlags]), 'unit.c'),
  );
  return explain(diffObjects(b!, a!, x86_64), name);
}

const marked = (lines: Explanation['before']) =>
  lines.filter(line => line.differs).map(line => line.text.replace(/\s+/g, ' '));

const source =
  'int g(int); int k(int); int printk(const char *, ...);\nint f(int x) { printk("f %d", x); return g(x + 1) * 3; } int same(void) { return 1; }';

test('explain() shows the first instruction that differs, on both sides', () => {
  const { verdict, summary, offset, before, after } = explained(
    source,
    source.replace('x + 1', 'x + 7'),
    'f',
  );
  assert.equal(verdict, 'changed');
  assert.match(summary, /^the code differs at \+0x[0-9a-f]+$/);
  assert.deepEqual(marked(before), ['lea 0x1(%rbx),%edi']);
  assert.deepEqual(marked(after), ['lea 0x7(%rbx),%edi']);
  assert.ok(before.length > 8 && before.some(line => line.kind === 'relocation'));
  assert.ok(offset !== undefined && offset > 0);
});

test('explain() names what a relocation means: another callee, another text', () => {
  const callee = explained(source, source.replace('g(x + 1)', 'k(x + 1)'), 'f');
  assert.match(callee.summary, /: g before, k after$/);
  assert.deepEqual(marked(callee.after).at(-1), 'R_X86_64_PLT32 k');
  const text = explained(source, source.replace('f %d', 'F %d'), 'f');
  assert.match(text.summary, /: "f %d" before, "F %d" after$/);
});

test('explain() names the special-section entry where the code is equal', () => {
  const entry = (flags: number) =>
    `void f(void) { __asm__ volatile("1: ud2\\n.pushsection __bug_table,\\"aw\\"\\n2: .long 1b - ., text - .\\n.word 7, ${flags}\\n.popsection\\n.pushsection .rodata\\ntext: .asciz \\"t\\"\\n.popsection"); }`;
  const { summary, before } = explained(entry(1), entry(3), 'f');
  assert.match(
    summary,
    /^the code is the same, its __bug_table entry for \+0x5 differs: .* 07 00 01 00 .* 07 00 03 00/,
  );
  assert.deepEqual(marked(before), ['ud2']);
});

test('explain() says what is new, gone, the same or in neither', () => {
  const more = `${source} int n(int x) { return g(x) - 1; }`;
  assert.equal(explained(source, more, 'n').verdict, 'new');
  assert.equal(explained(more, source, 'n').verdict, 'removed');
  assert.equal(explained(source, more, 'same').verdict, 'same');
  assert.throws(() => explained(source, source, 'nowhere'), { code: 'function-not-in-objects' });
});

test('explain() looks into the cold part', () => {
  const cold = (text: string) =>
    `int g(int); __attribute__((cold)) void bad(const char *, int); int f(int x) { if (x > 100) bad("${text}", x); return g(x) + 1; }`;
  assert.match(explained(cold('one'), cold('two'), 'f').summary, /^in f\.cold: .*"one" before, "two" after$/);
});
