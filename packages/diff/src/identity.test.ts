import assert from 'node:assert/strict';
import { test } from 'node:test';
import { x86_64 } from '@kstitch/arch/x86-64';
import { readElf } from '@kstitch/elf/read';
import { compileC } from '@kstitch/testkit/compile';
import { entrySizes, kernelFlags, linkSmallKernel, sectionFlags } from '@kstitch/testkit/small-kernel';
import { diffUnit } from './diff-unit.ts';

const source = `
  extern int g(int);
  static int count;
  __attribute__((section(".init.text"))) int setup(int x) { return g(x) + 1; }
  __attribute__((no_instrument_function)) int quiet(int x) { return g(x) + 2; }
  __attribute__((weak)) int generic(int x) { return g(x) + 3; }
  static __attribute__((noinline)) int inner(int x) { return g(x) + count++; }
  int outer(int x) { return inner(x) * inner(x + 1); }
  static __attribute__((section(".init.data"))) volatile int boot_only = 1;
  int hopeless(int x) { return boot_only + g(x + 1); }
`;
const shipped = linkSmallKernel(source, ['int g(int x) { return x; } int generic(int x) { return x + 4; }']);

function carry(unwanted: readonly string[] = []) {
  const compile = (flags: readonly string[]) =>
    readElf(compileC(source, [...kernelFlags, ...flags]), 'unit.c');
  const before = compile(sectionFlags);
  const objects = { name: 'unit.c', asShipped: compile([]), before, after: before };
  return diffUnit(
    { ...objects, identityBut: new Set(unwanted) },
    { shipped, vmlinux: shipped, exporterOf: () => undefined },
    x86_64,
    entrySizes,
  );
}

test('every function that can be patched is carried, the others are left out, each with its reason', () => {
  const { selection, leftOut, diagnostics } = carry();
  assert.deepEqual(
    selection.patched.map(({ oldName, reason }) => `${oldName}: ${reason}`),
    ['inner: identity', 'outer: identity'],
  );
  assert.deepEqual(
    leftOut.map(({ name, why }) => `${name}: ${why}`),
    [
      'setup: init-code',
      'quiet: no-ftrace-site',
      'generic: weak-overridden',
      'hopeless: init-memory-reference',
    ],
  );
  const notes = diagnostics.filter(({ code }) => code === 'identity-left-out');
  assert.deepEqual(
    notes.map(({ text, severity }) => `${severity}: ${text}`),
    [
      'note: a function is left out of unit.c: init-code',
      'note: a function is left out of unit.c: no-ftrace-site',
      'note: a function is left out of unit.c: weak-overridden',
      'note: a function is left out of unit.c: init-memory-reference',
    ],
  );
  assert.deepEqual(notes.at(-1)?.notes, ["hopeless(): refers to 'boot_only', which was freed after boot"]);
});

test('carried functions call each other; one that is not wanted is called in the running kernel', () => {
  const resolutionOf = (name: string, ...unwanted: readonly string[]) => {
    const { selection } = carry(unwanted);
    const outer = selection.atoms.find(atom => atom.name === 'outer');
    const calls = outer?.references.filter(
      ({ target }) => target.kind === 'atom' && target.atom.name === name,
    );
    return calls?.map(call => selection.resolve(call).kind);
  };
  assert.deepEqual(resolutionOf('inner'), ['copy', 'copy']);
  assert.deepEqual(resolutionOf('inner', 'inner'), ['klp', 'klp']);
});

test('a unit without identityBut is not carried', () => {
  const compile = (flags: readonly string[]) =>
    readElf(compileC(source, [...kernelFlags, ...flags]), 'unit.c');
  const before = compile(sectionFlags);
  const { selection, leftOut } = diffUnit(
    { name: 'unit.c', asShipped: compile([]), before, after: before },
    { shipped, vmlinux: shipped, exporterOf: () => undefined },
    x86_64,
    entrySizes,
  );
  assert.deepEqual([selection.atoms.length, leftOut.length], [0, 0]);
});
