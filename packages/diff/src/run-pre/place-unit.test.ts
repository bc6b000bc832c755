import assert from 'node:assert/strict';
import { test } from 'node:test';
import { x86_64 } from '@kstitch/arch/x86-64';
import { readElf } from '@kstitch/elf/read';
import { compileC } from '@kstitch/testkit/compile';
import { entrySizes, kernelFlags, linkSmallKernel, sectionFlags } from '@kstitch/testkit/small-kernel';
import type { Unit } from '../unit/atom.ts';
import { readUnit } from '../unit/read-unit.ts';
import { placeUnit } from './place-unit.ts';
import { compareBeforeToShipped } from './same-code.ts';

const source = `
  extern int outside(int);
  static int count = 3;
  static __attribute__((noinline)) int helper(int x) { return outside(x) + count++; }
  int first(int x) { return helper(x) + 1; }
  int second(int x) { return helper(x) + 2; }
  const char *name(void) { return "a name"; }
`;
const rest = 'int outside(int x) { return x; } int elsewhere(int x) { return x + 1; }';

function compileUnit(text: string, flags: readonly string[] = []): Unit {
  return readUnit(
    readElf(compileC(text, [...kernelFlags, ...flags]), 'unit.c'),
    'unit.c',
    x86_64,
    entrySizes,
  );
}

/** Codes of what speaks against finding `compiled` in a kernel whose unit is `shipped`. */
function findings(shipped: string, compiled: string, flags: readonly string[] = []): string[] {
  const { diagnostics } = placeUnit(compileUnit(compiled, flags), linkSmallKernel(shipped, [rest]), x86_64);
  return [...new Set(diagnostics.map(d => d.code))];
}

test('placeUnit() finds a unit in the kernel it was linked into, and its symbols', () => {
  const shipped = linkSmallKernel(source, [rest]);
  const unit = compileUnit(source);
  const { placement, diagnostics } = placeUnit(unit, shipped, x86_64);
  assert.deepEqual(diagnostics, []);
  for (const atom of unit.atoms.filter(atom => atom.name !== '')) {
    assert.deepEqual([placement.addressOf(atom)], shipped.named(atom.name), atom.name);
  }
  assert.deepEqual([placement.external('outside')], shipped.named('outside'));
  assert.equal(placement.figures.functions, 4);
});

test('placeUnit() refuses code that differs in one byte', () => {
  assert.deepEqual(findings(source, source.replace('+ 2', '+ 3')), ['run-pre-mismatch']);
});

test('placeUnit() refuses the same bytes that call another function', () => {
  const changed = source.replaceAll('outside', 'elsewhere');
  assert.deepEqual(findings(source, changed), ['run-pre-mismatch']);
});

test('placeUnit() refuses the same code with another text', () => {
  assert.deepEqual(findings(source, source.replace('a name', 'a lame')), ['run-pre-mismatch']);
});

test('placeUnit() refuses the same code with other initial data', () => {
  assert.deepEqual(findings(source, source.replace('count = 3', 'count = 4')), ['run-pre-mismatch']);
});

test('placeUnit() does not mind what data say that another unit replaces', () => {
  const unit = (banner: string) => `
    extern const char banner[], version[];
    const char version[] = "a version";
    const char __attribute__((weak)) banner[] = "${banner}";
    char __attribute__((weak)) alone[8] = "${banner}";
    const char *first(int x) { return x ? banner : version; }
    void second(void) { alone[1] = 0; }`;
  const placed = (others: string) =>
    placeUnit(compileUnit(unit('#1 SMP')), linkSmallKernel(unit('# SMP'), [others]), x86_64);
  const strong = placed('const char banner[] = "#1 SMP, later"; char alone[8] = "later";');
  assert.deepEqual(strong.diagnostics, []);
  assert.equal(strong.placement.figures.overridden, 2);
  assert.deepEqual(
    placed(rest).diagnostics.map(d => [d.code, d.place.symbol]),
    [
      ['run-pre-mismatch', 'banner'],
      ['run-pre-mismatch', 'alone'],
    ],
  );
});

test('placeUnit() refuses a unit with a function that the kernel lacks', () => {
  assert.deepEqual(findings(source, `${source} int third(int x) { return x; }`), ['run-pre-missing']);
});

test('placeUnit() refuses a unit that lacks a function of the kernel', () => {
  // As when the shipped compiler inlined helper() and ours did not, the other way round.
  const shipped = source.replace('int second', 'int between(int x) { return x; }\n  int second');
  assert.deepEqual(findings(shipped, source), ['run-pre-missing']);
  const inline = 'int first(int x) { asm volatile(".globl label\\nlabel: nop"); return x * 3; }';
  const without = 'int first(int x) { asm volatile("nop"); return x * 3; }';
  assert.deepEqual(findings(inline, without), ['run-pre-extra-symbol']);
});

test('placeUnit() knows labels of its own within a function', () => {
  const labelled = 'int first(int x) { asm volatile(".globl label\\nnop\\nlabel: nop"); return x * 3; }';
  assert.deepEqual(findings(labelled, labelled), []);
});

test('placeUnit() refuses code that stands twice in the kernel', () => {
  const twice = 'static __attribute__((used)) int same(int x) { return x * 7; }';
  const shipped = linkSmallKernel(twice, [twice]);
  const { diagnostics } = placeUnit(compileUnit(twice), shipped, x86_64);
  assert.deepEqual(
    diagnostics.map(d => d.code),
    ['run-pre-ambiguous'],
  );
});

test('placeUnit() tells same-named functions of two units apart by what they hold', () => {
  const one = 'static __attribute__((used)) int same(int x) { return x * 7; }';
  const other = 'static __attribute__((used)) int same(int x) { return x * 9; }';
  const shipped = linkSmallKernel(one, [other]);
  const unit = compileUnit(one);
  const { placement, diagnostics } = placeUnit(unit, shipped, x86_64);
  assert.deepEqual(diagnostics, []);
  const [atom] = unit.atoms.filter(candidate => candidate.name === 'same');
  assert.equal(placement.addressOf(atom!), shipped.named('same')[1]);
});

test('compareBeforeToShipped() takes a tail call of another width for the same code', () => {
  const text =
    'static __attribute__((noinline)) int near(int x) { return x * 5; } int f(int x) { return near(x + 1); }';
  const asShipped = compileUnit(text);
  const before = compileUnit(text, sectionFlags);
  const { diagnostics, widthOnly } = compareBeforeToShipped(before, asShipped, x86_64);
  assert.deepEqual(diagnostics, []);
  assert.equal(widthOnly, 1, 'the jump is `eb rel8` as shipped and `e9 rel32` with function sections');
});

test('compareBeforeToShipped() refuses a function that was compiled differently', () => {
  const before = compileUnit(source.replace('+ 2', '+ 4'), sectionFlags);
  const { diagnostics } = compareBeforeToShipped(before, compileUnit(source), x86_64);
  assert.deepEqual(
    diagnostics.map(d => [d.code, d.place.symbol]),
    [['inlining-differs', 'second']],
  );
});

test('compareBeforeToShipped() follows a call that the assembler resolved', () => {
  const calling = (name: string) => `
    static __attribute__((noinline)) int one(int x) { return x * 3; }
    static __attribute__((noinline)) int two(int x) { return x * 5; }
    int f(int x) { return ${name}(x) + 1; }
    int g(int x) { return one(x) ^ two(x); }`;
  const before = compileUnit(calling('one'), sectionFlags);
  const same = compareBeforeToShipped(before, compileUnit(calling('one')), x86_64);
  assert.deepEqual(same.diagnostics, []);
  const other = compareBeforeToShipped(before, compileUnit(calling('two')), x86_64);
  assert.deepEqual(
    other.diagnostics.map(d => [d.code, d.place.symbol]),
    [['inlining-differs', 'f']],
  );
});

test('compareBeforeToShipped() takes a nameless object for the same with and without padding behind it', () => {
  // A string with a zero in it is no entry of .rodata.str1.1; before the array, as shipped, it is padded to 8.
  const holding = (text: string) => `
    extern void use(const void *, int);
    void f(void) { use("${text}", 7); }
    const unsigned char __attribute__((aligned(8))) offsets[11] = { 5, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80 };`;
  const before = compileUnit(holding(String.raw`i686\0`), sectionFlags);
  const same = compareBeforeToShipped(before, compileUnit(holding(String.raw`i686\0`)), x86_64);
  assert.deepEqual(same.diagnostics, []);
  const sizes = [before, compileUnit(holding(String.raw`i686\0`))].map(
    unit => unit.atoms.find(atom => atom.name === '' && atom.kind === 'object')?.size,
  );
  assert.deepEqual(sizes, [6, 8]);
  for (const text of [String.raw`i586\0`, String.raw`i686\0x`]) {
    const other = compareBeforeToShipped(before, compileUnit(holding(text)), x86_64);
    assert.deepEqual(
      other.diagnostics.map(d => [d.code, d.place.symbol]),
      [['inlining-differs', 'f']],
    );
  }
});
