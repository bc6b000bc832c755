import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeLoad } from './load-modules.ts';

const module = { name: 'kstitch_a_1', sha256: '00' };
const splat = {
  kind: 'warning',
  headline: 'WARNING: at f',
  function: 'f',
  seconds: 1,
  step: module.name,
  trace: [],
} as const;
const judge = (output: string, splats: readonly (typeof splat | { step: string })[] = []) =>
  judgeLoad(module, {
    output: Buffer.from(output),
    splats: splats.map(given => ({ ...splat, ...given })),
  });

test('judgeLoad() believes only what the guest says about this livepatch', () => {
  const { ok, applied, words } = judge('kstitch_a_12 failed to load\nkstitch_a_1 ok vmlinux ext4\n');
  assert.deepEqual([ok, applied, words], [true, ['vmlinux', 'ext4'], []]);
  assert.deepEqual(judge('kstitch_a_1 ok\n').applied, []);
  assert.equal(judge('kstitch_a_12 ok vmlinux\n').ok, false);
});

test('judgeLoad() tells who holds a transition up from a failure', () => {
  const { ok, stalledBy, words } = judge('kstitch_a_1 stalled kpktgend_0 kpktgend_1 \n');
  assert.deepEqual([ok, stalledBy, words], [false, ['kpktgend_0', 'kpktgend_1'], []]);
  assert.deepEqual(judge('kstitch_a_1 stalled kpktgend_0\n', [splat]).stalledBy, []);
  assert.deepEqual(judge('kstitch_a_1 failed to be removed\n').stalledBy, []);
});

test('judgeLoad() keeps why a livepatch was not loaded', () => {
  const { ok, words } = judge('kstitch_a_1 failed to load\nkstitch_a_1 says insmod: invalid parameters\n');
  assert.deepEqual([ok, words], [false, ['failed to load', 'says insmod: invalid parameters']]);
});

test('judgeLoad() holds against a livepatch what the kernel reports while it is there, and nothing else', () => {
  assert.deepEqual(judge('kstitch_a_1 ok vmlinux\n', [splat]).words, ['the kernel reports: WARNING: at f']);
  assert.equal(judge('kstitch_a_1 ok vmlinux\n', [splat]).ok, false);
  assert.equal(judge('kstitch_a_1 ok vmlinux\n', [{ step: 'kstitch_b_2' }]).ok, true);
});
