import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findConflicts } from './find-conflicts.ts';
import { fixturePlan } from './fixture-module.ts';

const [vmlinux, module] = fixturePlan.objects;
assert.ok(vmlinux !== undefined && module !== undefined);
const callback = { kind: 'pre_patch', name: 'save', unit: 'fs/a.c', newSymbol: 'kstitch_new_7' } as const;
const other = { ...callback, name: 'store', unit: 'fs/b.c' };

test('findConflicts() lets every object have each kind of callback once', () => {
  const objects = [
    { ...vmlinux, callbacks: [callback, { ...other, kind: 'post_patch' } as const] },
    { ...module, callbacks: [other] },
  ];
  assert.deepEqual(findConflicts({ ...fixturePlan, objects }), []);
});

test('findConflicts() names both places of a callback that an object has twice', () => {
  const objects = [{ ...vmlinux, callbacks: [callback, other] }];
  assert.deepEqual(
    findConflicts({ ...fixturePlan, objects }).map(({ code, text }) => [code, text]),
    [['callback-twice', "'vmlinux' has two pre_patch callbacks: save() in fs/a.c and store() in fs/b.c"]],
  );
});

test('findConflicts() names both places of a state, even of one version', () => {
  const states = [
    { id: 3, version: 1, unit: 'fs/a.c' },
    { id: 4, version: 1, unit: 'fs/a.c' },
    { id: 3, version: 1, unit: 'fs/b.c' },
  ];
  assert.deepEqual(
    findConflicts({ ...fixturePlan, states }).map(({ code, text }) => [code, text]),
    [['state-twice', 'system state 3 is named twice: version 1 in fs/a.c and version 1 in fs/b.c']],
  );
});
