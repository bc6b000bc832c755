import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Bundle } from '@kstitch/livepatch/bundle';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { missingCompiler } from '@kstitch/testkit/compile';
import {
  ext4Name,
  finishWhenReversed,
  keep,
  moduleFor,
  notYetLoaded,
  pipeName,
  recordedManager,
  recordOf,
  standIn,
  withoutOrders,
  withoutTasks,
} from './fixture-machine.ts';
import { beginAction } from './journal.ts';
import { type LoadRequest, loadLivepatch } from './load.ts';
import type { Manager } from './manager.ts';

const skip = missingCompiler;
const priorityAtFirst = getPriority();

function requestFor(given: Bundle, more: Partial<LoadRequest> = {}): LoadRequest {
  const { module, bundle } = moduleFor(given);
  return {
    files: { module, record: JSON.stringify(bundle) },
    what: 'x.json',
    timeoutSeconds: 0.2,
    graceSeconds: 0,
    drop: [],
    dryRun: false,
    ...more,
  };
}

function journalOf({ journal }: Manager): string[] {
  return journal
    .read()
    .entries.map(({ action, livepatch, phase, result }) =>
      `${action} ${livepatch} ${phase} ${result ?? ''}`.trim(),
    );
}

async function failure(work: Promise<unknown>): Promise<KstitchError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof KstitchError, String(error));
  return error;
}

/** A manager on which the transition of `pipe` goes on, and which knows the livepatch that it replaces. */
async function enabling(t: TestContext): Promise<Manager> {
  const manager = recordedManager(t, 'enabling-task');
  await keep(manager, recordOf('ext4'));
  return manager;
}

test('a dry run checks and writes nothing', { skip }, async t => {
  const manager = recordedManager(t, 'bare');
  const result = await loadLivepatch(
    silentContext(),
    manager,
    requestFor(recordOf('ext4'), { dryRun: true }),
  );
  assert.deepEqual(result, { livepatch: ext4Name, result: 'checked', forced: false });
  assert.equal(existsSync(manager.journal.path), false);
  assert.equal(existsSync(manager.store.directory), false);
});

test('what the preflight refuses is not begun', { skip }, async t => {
  const manager = recordedManager(t, 'bare', { 'proc/sys/kernel/ftrace_enabled': '0\n' });
  const error = await failure(loadLivepatch(silentContext(), manager, requestFor(recordOf('ext4'))));
  assert.deepEqual([error.code, error.exitStatus], ['load-ftrace-off', 2]);
  assert.deepEqual(journalOf(manager), []);
});

test('a transition of another livepatch is status 4', { skip }, async t => {
  const manager = await enabling(t);
  const drop = [ext4Name, pipeName];
  const error = await failure(
    loadLivepatch(silentContext(), manager, requestFor(recordOf('kthreadd'), { drop })),
  );
  assert.deepEqual([error.code, error.exitStatus], ['transition-busy', 4]);
});

test('a livepatch that is being disabled is status 4 too', { skip }, async t => {
  const manager = recordedManager(t, 'disabling-task');
  for (const dryRun of [false, true]) {
    const request = requestFor(recordOf('pipe'), { dryRun });
    const error = await failure(loadLivepatch(silentContext(), manager, request));
    assert.deepEqual([error.code, error.exitStatus], ['transition-busy', 4]);
  }
});

test('a livepatch that is active already is attested and left alone', { skip }, async t => {
  const manager = recordedManager(t, 'active');
  const result = await loadLivepatch(silentContext(), manager, requestFor(recordOf('ext4')));
  assert.deepEqual([result.result, result.attestation?.verdict], ['already', 'attested']);
  assert.deepEqual(journalOf(manager), []);
});

test('one that is in force is not judged by what a load would need', { skip }, async t => {
  const manager = recordedManager(t, 'active', { 'proc/meminfo': 'MemAvailable: 1 kB\n' });
  const { result } = await loadLivepatch(silentContext(), manager, requestFor(recordOf('ext4')));
  assert.equal(result, 'already');
});

test('when time is up the transition is reversed, with who was in the way, and status 5', {
  skip,
}, async t => {
  const manager = await enabling(t);
  t.after(finishWhenReversed(manager.machine, pipeName, '0'));
  const request = requestFor(recordOf('pipe'), { drop: [ext4Name] });
  const error = await failure(loadLivepatch(silentContext(), manager, request));
  assert.deepEqual([error.code, error.exitStatus], ['load-timed-out', 5]);
  assert.match(error.message, /did not end within 0.2 s and was reversed$/);
  assert.match(error.notes.join('\n'), /^cat \(process 105\) in pipe_read\(\): it sleeps in/);
  assert.deepEqual(journalOf(manager), [`load ${pipeName} begin`, `load ${pipeName} end reversed`]);
});

test('a transition that the kernel does not reverse is told with who was in the way', { skip }, async t => {
  const manager = await enabling(t);
  t.after(finishWhenReversed(manager.machine, pipeName, '0'));
  const deaf = { ...manager, machine: withoutOrders(manager.machine) };
  const request = requestFor(recordOf('pipe'), { drop: [ext4Name] });
  const error = await failure(loadLivepatch(silentContext(), deaf, request));
  assert.deepEqual([error.code, error.exitStatus], ['load-timed-out', 5]);
  assert.match(error.message, /did not end within 0.2 s and could not be reversed$/);
  assert.match(error.notes.join('\n'), /^cat \(process 105\)[^]*\nwrite '.*enabled': EINVAL$/);
  assert.deepEqual(journalOf(manager), [`load ${pipeName} begin`, `load ${pipeName} end not reversed`]);

  // Nothing was forced where the kernel did not want to hear of it.
  const asked = { ...request, force: async () => true };
  assert.equal((await failure(loadLivepatch(silentContext(), deaf, asked))).code, 'load-timed-out');
  assert.ok(journalOf(manager).includes(`force ${pipeName} end not begun`));
});

test('a transition goes on where not even root may look at tasks, and who is in the way is not known', {
  skip,
}, async t => {
  const manager = await enabling(t);
  t.after(finishWhenReversed(manager.machine, pipeName, '0'));
  const blind = { ...manager, machine: withoutTasks(manager.machine) };
  const ends = () =>
    writeFileSync(join(manager.machine.root, `sys/kernel/livepatch/${pipeName}/transition`), '0\n');
  const timer = setTimeout(ends, 1500);
  t.after(() => clearTimeout(timer));
  const request = requestFor(recordOf('pipe'), { drop: [ext4Name] });
  const { result } = await loadLivepatch(silentContext(), blind, { ...request, timeoutSeconds: 60 });
  assert.equal(result, 'loaded');

  const late = await enabling(t);
  t.after(finishWhenReversed(late.machine, pipeName, '0'));
  const error = await failure(
    loadLivepatch(silentContext(), { ...late, machine: withoutTasks(late.machine) }, request),
  );
  assert.equal(error.code, 'load-timed-out');
  assert.match(error.notes.join(), /^who is in the way cannot be seen: read .*\(EPERM\)$/);
});

test('an interrupted load is reversed as well', { skip }, async t => {
  const manager = await enabling(t);
  t.after(finishWhenReversed(manager.machine, pipeName, '0'));
  const controller = new AbortController();
  setTimeout(() => controller.abort(new KstitchError('interrupted', 'x')), 300);
  const request = requestFor(recordOf('pipe'), { drop: [ext4Name], timeoutSeconds: 60 });
  await assert.rejects(loadLivepatch(silentContext(controller.signal), manager, request));
  assert.deepEqual(journalOf(manager).at(-1), `load ${pipeName} end reversed`);
});

test('a load that is interrupted before insmod is not begun', { skip }, async t => {
  const manager = recordedManager(t, 'bare');
  standIn(t, 'insmod', 'exit 99');
  const controller = new AbortController();
  const quiet = silentContext(controller.signal);
  const step: typeof quiet.progress.step = async (label, work) => {
    if (label === 'preflight') controller.abort(new KstitchError('interrupted', 'x'));
    return await work(() => {});
  };
  const context = { ...quiet, progress: { ...quiet.progress, step } };
  const request = requestFor(recordOf('ext4'));
  assert.equal((await failure(loadLivepatch(context, manager, request))).code, 'interrupted');
  assert.deepEqual(journalOf(manager), []);
});

test('somebody else who reverses it is told', { skip }, async t => {
  const manager = await enabling(t);
  t.after(finishWhenReversed(manager.machine, pipeName, '0'));
  const timer = setInterval(() => {
    if (journalOf(manager).length > 0)
      manager.machine.write(`/sys/kernel/livepatch/${pipeName}/enabled`, '0');
  }, 10);
  t.after(() => clearInterval(timer));
  const request = requestFor(recordOf('pipe'), { drop: [ext4Name], timeoutSeconds: 60 });
  const error = await failure(loadLivepatch(silentContext(), manager, request));
  assert.equal(error.code, 'load-reversed');
});

test('force is asked for when time is up, and not done unless confirmed', { skip }, async t => {
  const manager = await enabling(t);
  t.after(finishWhenReversed(manager.machine, pipeName, '0'));
  const asked: string[] = [];
  const force = (name: string) => Promise.resolve(asked.push(name) === 0);
  const request = requestFor(recordOf('pipe'), { drop: [ext4Name], force });
  const error = await failure(loadLivepatch(silentContext(), manager, request));
  assert.equal(error.code, 'load-timed-out');
  assert.deepEqual(asked, [pipeName]);
});

test('a transition that ends while one thinks about force has ended, whatever the answer', {
  skip,
}, async t => {
  for (const answer of [true, false]) {
    const manager = await enabling(t);
    t.after(finishWhenReversed(manager.machine, pipeName, '0'));
    const force = (name: string) => {
      writeFileSync(join(manager.machine.root, `sys/kernel/livepatch/${name}/transition`), '0\n');
      return Promise.resolve(answer);
    };
    const request = requestFor(recordOf('pipe'), { drop: [ext4Name], force });
    const { result, forced } = await loadLivepatch(silentContext(), manager, request);
    assert.deepEqual([result, forced], ['loaded', false]);
    assert.ok(!journalOf(manager).some(line => line.startsWith('force')));
  }
});

test('a livepatch that the kernel calls active and ftrace does not know is an error', { skip }, async t => {
  const manager = recordedManager(t, 'active', { 'sys/kernel/tracing/enabled_functions': '' });
  const error = await failure(loadLivepatch(silentContext(), manager, requestFor(recordOf('ext4'))));
  assert.equal(error.code, 'load-not-in-force');
});

test('a disabled module of the same name that may not be removed keeps its name', { skip }, async t => {
  const manager = recordedManager(t, 'disabled');
  const error = await failure(loadLivepatch(silentContext(), manager, requestFor(recordOf('pipe'))));
  assert.deepEqual([error.code, error.exitStatus], ['load-name-taken', 4]);
  assert.match(error.notes[0] ?? '', /kstitch did not load it/);
});

test('an action that was killed is written down as such by the next one', { skip }, async t => {
  const manager = recordedManager(t, 'active');
  beginAction(manager.journal, manager.kernel, 'load', ext4Name, []).step('inserted');
  await loadLivepatch(silentContext(), manager, requestFor(recordOf('ext4')));
  const last = manager.journal.read().entries.at(-1);
  assert.deepEqual([last?.phase, last?.result, last?.notes], ['end', 'interrupted', ['found later: active']]);
});

test("what the kernel refuses is told in insmod's words, and the action ends", { skip }, async t => {
  const manager = recordedManager(t, 'bare');
  standIn(
    t,
    'insmod',
    'echo "insmod: ERROR: could not insert module $1: Device or resource busy" >&2; exit 1',
  );
  const error = await failure(loadLivepatch(silentContext(), manager, requestFor(recordOf('ext4'))));
  assert.deepEqual([error.code, error.exitStatus], ['load-kernel-refused', 1]);
  const path = manager.store.modulePath(ext4Name);
  assert.deepEqual(error.notes, [`could not insert module ${path}: Device or resource busy`]);
  assert.deepEqual(journalOf(manager), [
    `load ${ext4Name} begin`,
    `load ${ext4Name} end load-kernel-refused`,
  ]);
});

test('a livepatch is loaded from the copy in the store, and attested', { skip }, async t => {
  const manager = recordedManager(t, 'active');
  notYetLoaded(t, manager, 'test -s "$1" || exit 1');
  const result = await loadLivepatch(silentContext(), manager, requestFor(recordOf('ext4')));
  assert.deepEqual([result.result, result.attestation?.verdict], ['loaded', 'attested']);
  assert.deepEqual(journalOf(manager), [
    `load ${ext4Name} begin`,
    `load ${ext4Name} step inserted`,
    `load ${ext4Name} end attested`,
  ]);
});

test('kstitch comes after whatever else runs, and insmod does not', { skip }, async t => {
  const manager = recordedManager(t, 'active');
  const niceness = join(manager.machine.root, 'niceness');
  notYetLoaded(t, manager, `set -- $(cat /proc/$$/stat); echo \${19} > ${niceness}`);
  await loadLivepatch(silentContext(), manager, requestFor(recordOf('ext4')));
  assert.equal(getPriority(), priorityAtFirst + 5);
  const ofInsmod = process.geteuid?.() === 0 ? priorityAtFirst : priorityAtFirst + 5;
  assert.equal(Number(readFileSync(niceness, 'utf8')), ofInsmod);
});

test('a failure while the transition goes on takes it back', { skip }, async t => {
  const manager = await enabling(t);
  t.after(finishWhenReversed(manager.machine, pipeName, '0'));
  const force = () => Promise.reject(new Error('the terminal is gone'));
  const request = requestFor(recordOf('pipe'), { drop: [ext4Name], force });
  await assert.rejects(loadLivepatch(silentContext(), manager, request), /the terminal is gone/);
  assert.deepEqual(journalOf(manager).at(-1), `load ${pipeName} end reversed`);
});
