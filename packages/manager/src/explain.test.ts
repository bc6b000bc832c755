import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { explainTransition, nameBlocker, tellBlockers } from './explain.ts';
import { ext4Name, kthreaddName, pipeName, recorded } from './fixture-machine.ts';
import { parseFrame, readTasksInModule } from './tasks.ts';

test('without a transition there is nothing to explain', t => {
  assert.equal(explainTransition(recorded(t, 'active')), undefined);
  assert.equal(explainTransition(recorded(t, 'bare')), undefined);
  assert.deepEqual(tellBlockers(undefined), []);
});

test('a task that sleeps in the old function is named with its stack and what will move it', t => {
  const explanation = explainTransition(recorded(t, 'enabling-task'));
  assert.equal(explanation?.livepatch, pipeName);
  assert.equal(explanation.phase, 'enabling');
  const [blocker, ...more] = explanation.blockers;
  assert.deepEqual(more, []);
  assert.ok(blocker);
  assert.deepEqual(blocker, {
    pid: 105,
    tid: 105,
    comm: 'cat',
    kernelThread: false,
    state: 'S',
    function: 'pipe_read',
    stack: blocker.stack,
    moves:
      'it sleeps in pipe_read(): it moves when that call ends; the kernel interrupts the call 15 s after the transition began',
  });
  assert.match(blocker.stack[0] ?? '', /^pipe_read\+0x/);
  assert.equal(nameBlocker(blocker), 'cat (process 105) in pipe_read()');
});

test('a function with several names is found on a stack under the one that the kernel shows', t => {
  const edits = {
    'proc/105/task/105/stack': '[<0>] first_name+0x20/0x80\n[<0>] vfs_read+0x20/0x80\n',
    'proc/kallsyms':
      'ffffffff81000010 t first_name\nffffffff81000010 t pipe_read\nffffffff81000020 T vfs_read\n',
  };
  const machine = recorded(t, 'enabling-task', edits);
  assert.equal(explainTransition(machine)?.blockers[0]?.function, 'first_name');
  const hidden = { ...edits, 'proc/kallsyms': undefined };
  assert.equal(explainTransition(recorded(t, 'enabling-task', hidden))?.blockers[0]?.function, undefined);
});

test('a task that sleeps in the new function is in the way of disabling', t => {
  const explanation = explainTransition(recorded(t, 'disabling-task'));
  assert.equal(explanation?.phase, 'disabling');
  assert.deepEqual(explanation.blockers.map(nameBlocker), ['cat (process 105) in pipe_read()']);
  assert.match(explanation.blockers[0]?.stack[0] ?? '', new RegExp(`\\[${pipeName}\\]$`));
});

test('a kernel thread that works in a loop in the function never moves', t => {
  const explanation = explainTransition(recorded(t, 'enabling-kthread'));
  assert.equal(explanation?.livepatch, kthreaddName);
  assert.deepEqual(tellBlockers(explanation), [
    'kthreadd (kernel thread 2) in kthreadd(): a kernel thread that sleeps in kthreadd(): it moves when it leaves that function, and never if it works in a loop there',
  ]);
});

test('no task that can be seen is an idle processor', t => {
  const explanation = explainTransition(recorded(t, 'enabling-task', { 'proc/105': undefined }));
  assert.deepEqual(explanation?.blockers, []);
  assert.deepEqual(tellBlockers(explanation), ['no task is in the way: an idle processor is']);
});

test('what moves a task depends on what it does', t => {
  const moves = (stat: string, stack = '') =>
    explainTransition(
      recorded(t, 'enabling-task', {
        'proc/105/task/105/stat': stat,
        'proc/105/task/105/stack': stack,
      }),
    )?.blockers[0]?.moves;
  assert.match(moves('105 (cat) R 1 0 0 0 -1 0\n') ?? '', /^it runs/);
  assert.match(moves('105 (cat) T 1 0 0 0 -1 0\n') ?? '', /^it is stopped/);
  assert.match(
    moves('105 (cat) D 1 0 0 0 -1 0\n', '[<0>] pipe_read+0x1/0x2\n') ?? '',
    /^it waits for the kernel in pipe_read\(\)/,
  );
  assert.match(moves('105 (cat) S 1 0 0 0 -1 0\n') ?? '', /^it sleeps: it moves when it returns/);
  assert.match(moves('105 (cat) I 2 0 0 0 -1 69238880\n') ?? '', /^a kernel thread that runs/);
});

test('a name with brackets, blanks and digits does not confuse what follows it', t => {
  const explanation = explainTransition(
    recorded(t, 'enabling-task', { 'proc/105/task/105/stat': '105 (a) R 2 (b)) S 101 0 0 0 -1 4194304\n' }),
  );
  const [blocker] = explanation?.blockers ?? [];
  assert.deepEqual([blocker?.comm, blocker?.state, blocker?.kernelThread], ['a) R 2 (b)', 'S', false]);
});

test('a thread is named with its process', () => {
  const blocker = {
    pid: 10,
    tid: 12,
    comm: 'worker',
    kernelThread: false,
    state: 'S',
    function: undefined,
    stack: [],
    moves: '',
  };
  assert.equal(nameBlocker(blocker), 'worker (process 10, thread 12)');
});

test('tasks with code of a module on their stacks are found', t => {
  const inside = (recording: Parameters<typeof recorded>[1], module: string) =>
    readTasksInModule(recorded(t, recording), module).map(({ tid }) => tid);
  assert.deepEqual(inside('disabling-task', pipeName), [105]);
  assert.deepEqual(inside('disabling-task', ext4Name), []);
  assert.deepEqual(inside('disabled', pipeName), []);
});

test('a line of a stack says function and module, however it is written', () => {
  const frame = (line: string) => {
    const { symbol, module } = parseFrame(line);
    return [symbol, module];
  };
  assert.deepEqual(frame('[<0>] pipe_read+0x3e6/0xfd0 [kstitch_pipe]'), ['pipe_read', 'kstitch_pipe']);
  assert.deepEqual(frame('[<0>] do_wait+0x114/0x320'), ['do_wait', undefined]);
  assert.deepEqual(frame('[<0>] x.cold+0x1/0x2 [m 0123abcd]'), ['x.cold', 'm']);
  assert.deepEqual(frame('[<0>] 0xffffffffc05f2000'), ['0xffffffffc05f2000', undefined]);
  fc.assert(fc.property(fc.string(), line => typeof parseFrame(line).symbol === 'string'));
});
