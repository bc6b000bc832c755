import assert from 'node:assert/strict';
import { test } from 'node:test';
import { modpostErrors, objtoolWarnings } from './kbuild-messages.ts';

test('objtoolWarnings() finds warnings and errors of both forms', () => {
  const stderr = [
    '  LD [M]  /tmp/x/kstitch_a.o',
    '/tmp/x/kstitch_a.o: warning: objtool: f+0x1c: unreachable instruction',
    'vmlinux.o: error: objtool: lp_f() falls through to next function lp_g()',
    'warning: objtool: g+0x3: indirect call found in MITIGATION_RETPOLINE build',
    'x.c:1:2: warning: unused variable',
  ].join('\n');
  assert.deepEqual(objtoolWarnings(stderr), [
    'f+0x1c: unreachable instruction',
    'lp_f() falls through to next function lp_g()',
    'g+0x3: indirect call found in MITIGATION_RETPOLINE build',
  ]);
});

test('objtoolWarnings() passes over the arrays of patched functions, and nothing else without ENDBR', () => {
  const line = (symbol: string) =>
    `a.o: warning: objtool: ${symbol}: data relocation to !ENDBR: do_sched_yield+0x0`;
  assert.deepEqual(objtoolWarnings(line('kstitch_functions_0+0xa0')), []);
  assert.equal(objtoolWarnings(line('my_ops+0xa0')).length, 1);
  assert.equal(objtoolWarnings('a.o: warning: objtool: kstitch_functions_0+0x8: other').length, 1);
});

test('modpostErrors() takes the folder out of what modpost says', () => {
  const stderr = 'WARNING: modpost: x\nERROR: modpost: "ext4_foo" [/tmp/w/kstitch_a.ko] undefined!\n';
  assert.deepEqual(modpostErrors(stderr), ['"ext4_foo" [kstitch_a.ko] undefined!']);
});
