/** How long reload-target waits before it removes the livepatch that it disabled, and how often it tries. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { missingCompiler } from '@kstitch/testkit/compile';
import { countUptime, countWaits, recordEarlier } from './fixture-grace.ts';
import { ext4Name, standIn } from './fixture-machine.ts';
import { loopLine, patchedModule, reload } from './fixture-patched-module.ts';
import { times } from './limits.ts';
import type { Machine } from './machine.ts';

const skip = missingCompiler;
const adjustable: { stuck: number } = times;

/** A task is in code of the livepatch the first time that all stacks are looked at. */
function busyOnce(t: TestContext, machine: Machine): void {
  const read = machine.read.bind(machine);
  let busy = true;
  t.mock.method(machine, 'read', (path: string, limit?: number) => {
    if (path !== '/proc/1/task/1/stack' || !busy) return read(path, limit);
    busy = false;
    return `[<0>] helper+0x1/0x2 [${ext4Name}]`;
  });
}

test('a time that was before the last load is none: the grace time begins now, once', { skip }, async t => {
  const machine = await patchedModule(t);
  recordEarlier(
    machine.manager,
    { action: 'unload', phase: 'step', result: 'disabled' },
    { action: 'load', phase: 'end', result: 'attested' },
    { action: 'reload', phase: 'begin' },
  );
  countUptime(t, machine.manager.machine);
  machine.disable();
  busyOnce(t, machine.manager.machine);
  const { context, waits } = countWaits();
  await reload(machine.manager, { graceSeconds: 1 }, context);
  assert.equal(waits.length, 1, 'what is tried again has waited');
  assert.ok((waits[0] ?? 0) > 0.9, `${waits[0]} s`);
});

test('a livepatch whose time is known has waited already', { skip }, async t => {
  const machine = await patchedModule(t);
  recordEarlier(
    machine.manager,
    { action: 'reload', phase: 'begin' },
    { action: 'reload', phase: 'end', result: 'reversed' },
  );
  machine.disable();
  const { context, waits } = countWaits();
  await reload(machine.manager, { graceSeconds: 60 }, context);
  assert.deepEqual(waits, []);
});

test('the grace time goes on while the module is loaded', { skip }, async t => {
  const { manager } = await patchedModule(t);
  countUptime(t, manager.machine);
  standIn(
    t,
    'modprobe',
    `[ "$1" = -D ] && { echo "insmod /lib/$2.ko"; exit; }; sleep 1; echo '${loopLine.trim()}' >> ${manager.machine.root}/proc/modules`,
  );
  const { context, waits } = countWaits();
  await reload(manager, { graceSeconds: 1 }, context);
  assert.deepEqual(waits, []);
});

test('a task that leaves the livepatch after the grace time is waited for', { skip }, async t => {
  const { manager, calls } = await patchedModule(t);
  countUptime(t, manager.machine);
  t.mock.property(adjustable, 'stuck', 1);
  busyOnce(t, manager.machine);
  const { context, waits } = countWaits();
  await reload(manager, { graceSeconds: 2 }, context);
  assert.equal(waits.length, 1);
  assert.deepEqual(calls().slice(-2), [`rmmod ${ext4Name}`, 'insmod']);
});

test('a task that does not leave it is told', { skip }, async t => {
  const stack = `[<0>] helper+0x1/0x2 [${ext4Name}]\n`;
  const { manager } = await patchedModule(t, undefined, { 'proc/1/task/1/stack': stack });
  t.mock.property(adjustable, 'stuck', 0.5);
  await assert.rejects(reload(manager), {
    code: 'reload-not-restored',
    notes: ['init (task 1) is in code of the livepatch'],
  });
});
