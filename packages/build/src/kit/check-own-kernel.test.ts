import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareBuildIds, compareVermagics } from './check-own-kernel.ts';

test('an image and a vmlinux are of one build when they tell one build id, not when they tell none', () => {
  assert.deepEqual(compareBuildIds('aa', 'aa'), []);
  for (const [image, vmlinux, says] of [
    ['aa', 'bb', "'aa', vmlinux has 'bb'"],
    ['aa', undefined, "'aa', vmlinux has 'none'"],
    [undefined, 'bb', "'none', vmlinux has 'bb'"],
    [undefined, undefined, "'none', vmlinux has 'none'"],
  ] as const)
    assert.deepEqual(compareBuildIds(image, vmlinux), [`build id of the image in bzImage: ${says}`]);
});

test('modules have one vermagic, all of it', () => {
  const vermagic = '6.1.60-mine SMP preempt mod_unload modversions ';
  const compare = (...texts: (string | undefined)[]) =>
    compareVermagics('6.1.60-mine', new Map(texts.map((text, i) => [`${i}.ko`, text])));
  assert.deepEqual(compare(vermagic, vermagic, vermagic), []);
  assert.deepEqual(compare(), []);
  const other = '6.1.60-mine SMP mod_unload modversions ';
  assert.deepEqual(compare(vermagic, other, vermagic), [
    `vermagic of module '1.ko': '${other}', '0.ko' has '${vermagic}'`,
  ]);
  assert.deepEqual(compare('6.1.59 SMP ', undefined, vermagic), [
    "module '0.ko' was built for '6.1.59'",
    "module '1.ko' was built for 'none'",
  ]);
});
