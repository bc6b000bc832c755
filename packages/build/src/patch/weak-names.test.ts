import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readWeakNames } from './weak-names.ts';

test('readWeakNames() finds what another unit may define instead', () => {
  const found = (text: string) => readWeakNames(text).toSorted();
  assert.deepEqual(found('void __weak arch_unmap(struct mm_struct *mm)\n{\n\tunmap(mm);\n}\n'), [
    'arch_unmap',
  ]);
  assert.deepEqual(found('int __init __weak\narch_early_irq_init(void) { return 0; }'), [
    'arch_early_irq_init',
  ]);
  assert.deepEqual(found('__weak void *early(unsigned long a);'), ['early']);
  assert.deepEqual(found('const char __weak linux_banner[] = "x";\nunsigned long __weak limit = 7;'), [
    'limit',
    'linux_banner',
  ]);
  assert.deepEqual(found('int g(void) __attribute__((weak));\nint __attribute__((__weak__)) f(void);'), [
    'f',
    'g',
  ]);
  // include/linux/compiler_attributes.h: __alias(); lib/crypto/blake2s-generic.c
  assert.ok(found('void f(int a,\n\tint b)\n\t__weak __alias(g);').includes('f'));
  assert.deepEqual(found('const struct s first __weak;\nint second[2] __weak, third(void) __weak;\nint x;'), [
    'first',
    'second',
    'third',
  ]);
  assert.deepEqual(found('SYM_FUNC_START_WEAK(memcpy)\n\t.weak memset\n'), ['memcpy', 'memset']);
  assert.ok(found('COND_SYSCALL(io_setup);').includes('__x64_sys_io_setup'));
  assert.deepEqual(found('int strong(void) { return weakly(1); }'), []);
});
