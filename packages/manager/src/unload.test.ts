import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import {
  ext4Name,
  finishWhenReversed,
  keep,
  pipeName,
  recordedManager,
  recordOf,
  standIn,
  withoutOrders,
  withoutTasks,
} from './fixture-machine.ts';
import { Machine } from './machine.ts';
import type { Manager } from './manager.ts';
import { readPhase } from './read-livepatches.ts';
import { type UnloadRequest, unloadLivepatch } from './unload.ts';

function unload(
  manager: Manager,
  name: string,
  more: Partial<UnloadRequest> = {},
  context = silentContext(),
) {
  return unloadLivepatch(context, manager, {
    name,
    timeoutSeconds: 5,
    graceSeconds: 0,
    keep: false,
    ...more,
  });
}

/** Each time: what came out, and the reasons that were told. */
async function outcome(t: TestContext, manager: Manager, name: string, more: Partial<UnloadRequest> = {}) {
  const context = silentContext();
  t.after(finishWhenReversed(manager.machine, name, '0'));
  const { result, reasons } = await unload(manager, name, more, context);
  return { result, reasons, codes: context.diagnostics.map(({ code }) => code) };
}

test('what is not loaded is nothing to do', async t => {
  const error = await unload(recordedManager(t, 'bare'), 'kstitch_x').catch((reason: unknown) => reason);
  assert.ok(error instanceof KstitchError);
  assert.deepEqual([error.code, error.exitStatus], ['unload-not-loaded', 3]);
});

test('a livepatch of somebody else is disabled and its module left there', async t => {
  const manager = recordedManager(t, 'active');
  const { result, reasons, codes } = await outcome(t, manager, ext4Name);
  assert.equal(result, 'disabled');
  assert.match(reasons[0] ?? '', /kstitch did not load it/);
  assert.deepEqual(codes, ['unload-left-loaded']);
  assert.deepEqual(
    manager.journal.read().entries.map(({ phase, result: how }) => [phase, how]),
    [
      ['begin', undefined],
      ['step', 'disabled'],
      ['end', 'disabled'],
    ],
  );
});

test('one whose record says that it is unsafe is left there with the reasons', async t => {
  const manager = recordedManager(t, 'active');
  await keep(manager, recordOf('ext4', { unload: { verdict: 'unsafe', reasons: ['it starts a timer'] } }));
  assert.deepEqual((await outcome(t, manager, ext4Name)).reasons, ['it starts a timer']);
});

test('--keep only disables, and is no reason for a caution', async t => {
  const manager = recordedManager(t, 'active');
  await keep(manager, recordOf('ext4'));
  const { result, codes } = await outcome(t, manager, ext4Name, { keep: true });
  assert.deepEqual([result, codes], ['disabled', []]);
});

test('a task in code of the livepatch keeps its module', async t => {
  const stack = `[<0>] helper+0x1/0x2 [${ext4Name}]\n[<0>] do_syscall_64+0x5d/0x90\n`;
  const manager = recordedManager(t, 'active', { 'proc/1/task/1/stack': stack });
  await keep(manager, recordOf('ext4'));
  assert.deepEqual((await outcome(t, manager, ext4Name)).reasons, [
    'init (task 1) is in code of the livepatch',
  ]);
});

test('stacks that not even root may see keep its module', async t => {
  const manager = recordedManager(t, 'active');
  await keep(manager, recordOf('ext4'));
  const blind = { ...manager, machine: withoutTasks(manager.machine) };
  const { result, reasons } = await outcome(t, blind, ext4Name);
  assert.equal(result, 'disabled');
  assert.match(reasons.join(), /^whether a task is in its code cannot be seen: read .*\(EPERM\)$/);
});

test('a disabling that does not end is reversed, with who was in the way, and status 5', async t => {
  const manager = recordedManager(t, 'disabling-task');
  t.after(finishWhenReversed(manager.machine, pipeName, '1'));
  const error = await unload(manager, pipeName, { timeoutSeconds: 0.2 }).catch((reason: unknown) => reason);
  assert.ok(error instanceof KstitchError);
  assert.deepEqual([error.code, error.exitStatus], ['unload-timed-out', 5]);
  assert.match(error.message, /was reversed: it is in force$/);
  assert.match(error.notes[0] ?? '', /^cat \(process 105\) in pipe_read\(\)/);
  const enabled = join(manager.machine.root, 'sys/kernel/livepatch', pipeName, 'enabled');
  assert.equal(readFileSync(enabled, 'utf8').trim(), '1');
});

test('a disabling that the kernel does not reverse is told with who was in the way', async t => {
  const manager = recordedManager(t, 'disabling-task');
  const deaf = { ...manager, machine: withoutOrders(manager.machine) };
  const error = await unload(deaf, pipeName, { timeoutSeconds: 0.2 }).catch((reason: unknown) => reason);
  assert.ok(error instanceof KstitchError);
  assert.equal(error.code, 'unload-timed-out');
  assert.match(error.message, /could not be reversed: write '.*enabled': EINVAL$/);
  assert.match(error.notes[0] ?? '', /^cat \(process 105\) in pipe_read\(\)/);
  // It is out of force: a reload that had gone so far has not come to its end.
  assert.equal(manager.journal.read().entries.at(-1)?.result, 'not reversed');
});

test('a disabling that ends while one looks who is in the way has ended', async t => {
  const manager = recordedManager(t, 'disabling-task');
  const machine = new Machine(manager.machine.root);
  const read = machine.read.bind(machine);
  machine.read = (path, limit) => {
    const text = read(path, limit);
    if (path.endsWith('/105/stack'))
      rmSync(join(machine.root, 'sys/kernel/livepatch', pipeName), { recursive: true, force: true });
    return text;
  };
  const more = { timeoutSeconds: 0.2, keep: true };
  assert.equal((await unload({ ...manager, machine }, pipeName, more)).result, 'disabled');
});

test('somebody else who enables it again is told', async t => {
  const manager = recordedManager(t, 'disabling-task');
  t.after(finishWhenReversed(manager.machine, pipeName, '1'));
  const timer = setInterval(() => {
    if (manager.journal.read().entries.length > 0)
      manager.machine.write(`/sys/kernel/livepatch/${pipeName}/enabled`, '1');
  }, 10);
  t.after(() => clearInterval(timer));
  await assert.rejects(unload(manager, pipeName), { code: 'unload-reversed' });
});

test('while another livepatch is in transition nothing is begun', async t => {
  const manager = recordedManager(t, 'enabling-task');
  await assert.rejects(unload(manager, ext4Name), { code: 'transition-busy' });
  assert.deepEqual(manager.journal.read().entries, []);
});

test('a transition that begins before it can is status 4 as well, and the action ends', async t => {
  const manager = recordedManager(t, 'active');
  const machine = new Machine(manager.machine.root);
  machine.write = path => {
    const cause = Object.assign(new Error('busy'), { code: 'EBUSY' });
    throw new KstitchError('machine-unreadable', `write '${path}': EBUSY`, { cause });
  };
  await assert.rejects(unload({ ...manager, machine }, ext4Name), { code: 'transition-busy', exitStatus: 4 });
  const last = manager.journal.read().entries.at(-1);
  assert.deepEqual([last?.phase, last?.result], ['end', 'transition-busy']);
});

test('a safe module is removed after the grace time', async t => {
  const manager = recordedManager(t, 'disabled');
  await keep(manager, recordOf('ext4'));
  standIn(t, 'rmmod', `test "$1" = ${ext4Name} && echo removed > ${manager.machine.root}/removed`);
  const began = performance.now();
  const { result } = await unload(manager, ext4Name, { graceSeconds: 1 });
  assert.equal(result, 'removed');
  // One second of grace, and one between the two looks at all stacks.
  assert.ok(performance.now() - began >= 2000);
  assert.equal(readFileSync(join(manager.machine.root, 'removed'), 'utf8'), 'removed\n');
});

test('a module that the kernel does not let go of stays, with its words', async t => {
  const manager = recordedManager(t, 'disabled');
  await keep(manager, recordOf('ext4'));
  standIn(t, 'rmmod', 'echo "rmmod: ERROR: Module is in use" >&2; exit 1');
  const { result, reasons } = await unload(manager, ext4Name);
  assert.deepEqual([result, reasons], ['disabled', ['rmmod: ERROR: Module is in use']]);
});

test('an interrupted disabling is reversed', async t => {
  const manager = recordedManager(t, 'disabling-task');
  t.after(finishWhenReversed(manager.machine, pipeName, '1'));
  const controller = new AbortController();
  setTimeout(() => controller.abort(new KstitchError('interrupted', 'x')), 300);
  const more = { timeoutSeconds: 60 };
  await assert.rejects(unload(manager, pipeName, more, silentContext(controller.signal)));
  const last = manager.journal.read().entries.at(-1);
  assert.deepEqual([last?.phase, last?.result], ['end', 'interrupted']);
  assert.equal(readPhase(manager.machine, pipeName), 'active');
});
