import assert from 'node:assert/strict';
import { test } from 'node:test';
import { x86_64 } from '@kstitch/arch/x86-64';
import { SHT, STT } from '@kstitch/elf/constants';
import type { ElfFile } from '@kstitch/elf/model';
import { readElf } from '@kstitch/elf/read';
import { readRelocations } from '@kstitch/elf/relocations';
import { KstitchError } from '@kstitch/report/error';
import { compileC } from '@kstitch/testkit/compile';
import { kernelFlags, sectionFlags } from '@kstitch/testkit/small-kernel';
import fc from 'fast-check';
import { diffObjects } from './diff-objects.ts';
import { explain } from './explain.ts';

const section = (name: string, body: string) => `.pushsection ${name}\\n${body}\\n.popsection`;
const bug = `__asm__ volatile("1: ud2\\n${section('__bug_table,\\"aw\\"', '.long 1b - ., 0f - .\\n.word 7, 1')}\\n${section('.rodata.str1.1,\\"aMS\\",@progbits,1', '0: .asciz \\"a.c\\"')}");`;
const alternative = `__asm__ volatile("661: nop\\n662:\\n${section('.altinstructions,\\"a\\"', '.long 661b - ., 663f - .\\n.word 17\\n.byte 662b - 661b, 664f - 663f')}\\n${section('.altinstr_replacement,\\"ax\\"', '663: lfence\\n664:')}");`;
const source = `
  int printk(const char *, ...); int g(int); __attribute__((cold)) void bad(const char *);
  static int limit = 5; static const int table[] = { 1, 2, 3, 5, 8, 13, 21, 34 };
  #define sched __attribute__((section(".sched.text"), noinline))
  sched static int a(int x) { return g(x) + 11; }
  sched static int b(int x) { static int count; return g(x) + count++; }
  sched int c(int x) { return a(x) * b(x); }
  __attribute__((section(".init.text"))) int setup(int x) { return c(x) + 1; }
  int f(int x) { static int count = 1; if (x > 9) bad("f is bad"); ${bug} return table[x & 7] + count++; }
  int h(int x) { ${alternative} printk("h %d %d", x, limit); limit = x; return c(x); }
  int k(int x) { switch (x) { case 0: return g(7); case 1: return g(1) + 1; case 2: return g(9) + 2; case 3: return g(5) - 1; case 4: return g(4) * 3; } return x; }
`;

const object = compileC(source, [...kernelFlags, ...sectionFlags, '-fjump-tables', '-mindirect-branch=keep']);
const file = readElf(object, 'unit.o');

/** Offsets in the file of code bytes that no relocation covers, with the function around each. */
function* codeBytes(elf: ElfFile): Iterable<{ readonly at: number; readonly name: string }> {
  for (const { name, type, section: home, st_value, st_size } of elf.symbols) {
    if (type !== STT.FUNC || home === undefined) continue;
    const relocations = elf.sections
      .filter(({ sh_type, sh_info }) => sh_type === SHT.RELA && sh_info === home.index)
      .flatMap(table => readRelocations(elf, table));
    const covered = new Set(
      relocations.flatMap(({ r_offset, r_type }) =>
        Array.from({ length: x86_64.relocation(r_type)?.size ?? 8 }, (_, i) => r_offset + i),
      ),
    );
    for (let offset = Number(st_value); offset < Number(st_value + st_size); offset += 1) {
      if (!covered.has(offset)) yield { at: home.sh_offset + offset, name };
    }
  }
}

test('every flipped byte of code makes its function a changed or refused one', () => {
  const places = [...codeBytes(file)];
  assert.ok(places.length > 200);
  for (const [i, { at, name }] of places.entries()) {
    const mutant = object.slice();
    mutant[at]! ^= 1 << (i % 8);
    const { difference } = diffObjects(file, readElf(mutant, 'unit.o'), x86_64);
    const parent = name.replace(/\.cold$/, '');
    const found =
      difference.changed.some(one => one.name === parent) ||
      difference.diagnostics.some(({ place }) => place.symbol === name);
    assert.ok(found, `byte ${at} of ${name}()`);
  }
});

test('a damaged object gives a result or an error of ours', () => {
  const flip = fc.record({ at: fc.nat(object.length - 1), to: fc.nat(255) });
  const damage = fc.record({
    flips: fc.array(flip, { minLength: 0, maxLength: 8 }),
    length: fc.oneof({ weight: 4, arbitrary: fc.constant(object.length) }, fc.nat(object.length)),
  });
  fc.assert(
    fc.property(damage, ({ flips, length }) => {
      const mutant = object.slice();
      for (const { at, to } of flips) mutant[at] = to;
      try {
        const objects = diffObjects(file, readElf(mutant.subarray(0, length), 'unit.o'), x86_64);
        for (const { newName } of objects.difference.changed) explain(objects, newName);
      } catch (error) {
        if (!(error instanceof KstitchError)) throw error;
      }
    }),
    { numRuns: 1500 },
  );
});

test('damage to the tables of an object gives a result or an error of ours', () => {
  // Most bytes of an object are code; what steers the reader are headers, symbols and relocations.
  const steering = file.sections
    .filter(({ sh_type }) => sh_type === SHT.RELA || sh_type === SHT.SYMTAB)
    .map(({ sh_offset, sh_size }) => ({ from: sh_offset, to: sh_offset + sh_size }));
  steering.push({ from: object.length - file.sections.length * 64, to: object.length });
  const place = fc.constantFrom(...steering).chain(({ from, to }) => fc.integer({ min: from, max: to - 1 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 4 }), flips => {
      const mutant = object.slice();
      for (const [at, to] of flips) mutant[at] = to;
      try {
        const objects = diffObjects(file, readElf(mutant, 'unit.o'), x86_64);
        for (const { newName } of objects.difference.changed) explain(objects, newName);
      } catch (error) {
        if (!(error instanceof KstitchError)) throw error;
      }
    }),
    { numRuns: 1500 },
  );
});
