import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { missingCompiler } from '@kstitch/testkit/compile';
import { copyLivepatch, ext4Name, standIn } from './fixture-machine.ts';
import {
  assertRestored,
  failure,
  gated,
  loopLine,
  type PatchedModule,
  patchedModule,
  reload,
} from './fixture-patched-module.ts';
import { beginAction, type JournalAction } from './journal.ts';
import { alone, type Manager } from './manager.ts';
import { readStatus } from './status.ts';
import { findUnfinishedReload } from './unfinished-reload.ts';

const skip = missingCompiler;
const wholeSequence = ['rmmod loop', 'modprobe loop', `rmmod ${ext4Name}`, 'insmod'];

test('withdraws the livepatch, loads the module again, puts the livepatch back', { skip }, async t => {
  const { manager, calls } = await patchedModule(t, { ...gated, cves: ['CVE-2026-0001'] });
  const asked: unknown[] = [];
  const result = await reload(manager, {
    confirm: ({ livepatch, fixes, leastSeconds }) => {
      asked.push([livepatch, fixes, leastSeconds]);
      return Promise.resolve(true);
    },
  });
  assert.deepEqual(asked, [[ext4Name, ['CVE-2026-0001', 'ext4.patch'], 1]]);
  assert.deepEqual([result.livepatch, result.attestation?.verdict], [ext4Name, 'attested']);
  assert.ok(result.inactiveSeconds > 1, 'the two looks at all stacks are a second apart');
  assert.deepEqual(calls(), wholeSequence);
  assert.deepEqual(
    manager.journal
      .read()
      .entries.map(({ action, target, phase, result: how = '' }) => `${action} ${target} ${phase} ${how}`),
    [
      'reload loop begin ',
      'reload loop step disabled',
      'reload loop step target removed',
      'reload loop step target loaded',
      'reload loop step inserted',
      'reload loop end restored',
    ],
  );
  await assertRestored(manager);
});

/** Where a run may be killed: what it had written, what it had done, and what the next one has to do. */
const kills: readonly (readonly [
  string,
  (action: JournalAction, machine: PatchedModule) => void,
  readonly string[],
])[] = [
  ['while it was disabled', (_, machine) => machine.disable(), wholeSequence],
  [
    'after it was disabled',
    (action, machine) => {
      machine.disable();
      action.step('disabled');
    },
    wholeSequence,
  ],
  [
    'while the module was removed',
    (action, machine) => {
      machine.disable();
      action.step('disabled');
      machine.removeTarget();
    },
    wholeSequence.slice(1),
  ],
  [
    'after the module was removed',
    (action, machine) => {
      machine.disable();
      machine.removeTarget();
      action.step('target removed');
    },
    wholeSequence.slice(1),
  ],
  [
    'while the module was loaded',
    (action, machine) => {
      machine.disable();
      action.step('target removed');
    },
    wholeSequence.slice(2),
  ],
  [
    'after the module was loaded',
    (action, machine) => {
      machine.disable();
      action.step('target loaded');
    },
    wholeSequence.slice(2),
  ],
  [
    'after the livepatch was removed',
    (action, machine) => {
      machine.disable();
      machine.removeLivepatch();
      action.step('target loaded');
    },
    wholeSequence.slice(3),
  ],
];

for (const [when, kill, rest] of kills) {
  test(`killed ${when}, status says so and the same command goes on`, { skip }, async t => {
    const machine = await patchedModule(t);
    const { manager, calls } = machine;
    const { journal, kernel } = manager;
    kill(beginAction(journal, kernel, 'reload', ext4Name, [], 'loop'), machine);
    const { health, unfinishedReload } = await readStatus(manager);
    assert.deepEqual(
      [health, unfinishedReload?.livepatch, unfinishedReload?.target, unfinishedReload?.withdrawn],
      ['fix withdrawn', ext4Name, 'loop', true],
    );
    const other = silentContext();
    await alone(other, manager, () => Promise.resolve());
    assert.deepEqual(
      other.diagnostics.map(({ code, help }) => [code, help]),
      [['reload-unfinished', 'go on with it: kstitch reload-target loop']],
    );
    await reload(manager);
    assert.deepEqual(calls(), rest);
    await assertRestored(manager);
  });
}

test('a run that goes on and is killed at once loses nothing of what the first one did', {
  skip,
}, async t => {
  const machine = await patchedModule(t);
  const { machine: files, journal, kernel } = machine.manager;
  const begin = () => beginAction(journal, kernel, 'reload', ext4Name, [], 'loop');
  begin().step('target loaded');
  const [first] = journal.read().entries;
  begin();
  machine.disable();
  const left = findUnfinishedReload(files, journal.read().entries, kernel.bootId);
  assert.deepEqual([left?.reloaded, left?.since], [true, Date.parse(first?.at ?? '')]);
  // What was settled meanwhile is no part of a later reload.
  beginAction(journal, kernel, 'load', ext4Name, []).end('attested');
  begin();
  assert.equal(findUnfinishedReload(files, journal.read().entries, kernel.bootId)?.reloaded, false);
});

test('a run that was killed before it did anything is no part of one of another module', {
  skip,
}, async t => {
  const machine = await patchedModule(t);
  const { manager, calls } = machine;
  const { journal, kernel } = manager;
  beginAction(journal, kernel, 'reload', ext4Name, [], 'nf_tables').end('interrupted');
  const action = beginAction(journal, kernel, 'reload', ext4Name, [], 'loop');
  machine.disable();
  action.step('disabled');
  machine.removeTarget();
  action.step('target removed');
  const { unfinishedReload } = await readStatus(manager);
  assert.deepEqual([unfinishedReload?.target, unfinishedReload?.withdrawn], ['loop', true]);
  await reload(manager);
  assert.deepEqual(calls(), wholeSequence.slice(1));
  await assertRestored(manager);
});

test('how long it took does not depend on the clock of the day', { skip }, async t => {
  const machine = await patchedModule(t);
  const { manager } = machine;
  beginAction(manager.journal, manager.kernel, 'reload', ext4Name, [], 'loop').step('target loaded');
  machine.disable();
  writeFileSync(join(manager.machine.root, 'proc/uptime'), `${manager.kernel.uptime + 100} 0.00\n`);
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() - 3_600_000 });
  const { inactiveSeconds } = await reload(manager);
  assert.ok(inactiveSeconds > 100 && inactiveSeconds < 160, String(inactiveSeconds));
});

test('a module that does not go or does not come is told, and the livepatch is back', { skip }, async t => {
  const { manager, calls } = await patchedModule(t);
  standIn(
    t,
    'rmmod',
    `[ "$1" = loop ] && { echo "rmmod: ERROR: Module loop is in use" >&2; exit 1; }; sed -i "/^$1 /d" ${manager.machine.root}/proc/modules`,
  );
  const error = await failure(reload(manager));
  assert.deepEqual([error.code, error.exitStatus], ['reload-module-failed', 1]);
  assert.match(error.message, /could not be removed$/);
  assert.deepEqual(error.notes, ['rmmod: ERROR: Module loop is in use']);
  assert.deepEqual(calls(), ['insmod']);
  await assertRestored(manager);
});

test('a livepatch that the kernel does not take back is withdrawn, and said to be', { skip }, async t => {
  const { manager } = await patchedModule(t);
  standIn(t, 'insmod', 'echo "insmod: ERROR: Cannot allocate memory" >&2; exit 1');
  const error = await failure(reload(manager));
  assert.equal(error.code, 'reload-not-restored');
  assert.match(error.notes.join('\n'), /Cannot allocate memory/);
  assert.equal((await readStatus(manager)).health, 'fix withdrawn');
});

test('Ctrl-C once the livepatch is out of force does not leave it so', { skip }, async t => {
  const { manager } = await patchedModule(t);
  const controller = new AbortController();
  standIn(
    t,
    'modprobe',
    `[ "$1" = -D ] && { echo "insmod /lib/$2.ko"; exit; }; sleep 0.5; echo '${loopLine.trim()}' >> ${manager.machine.root}/proc/modules`,
  );
  const work = reload(manager, {}, silentContext(controller.signal));
  const timer = setInterval(() => {
    if (manager.journal.read().entries.some(({ result }) => result === 'target removed'))
      controller.abort(new KstitchError('interrupted', 'x'));
  }, 10);
  await work;
  clearInterval(timer);
  assert.ok(controller.signal.aborted);
  await assertRestored(manager);
});

test('loading the livepatch by hand settles it, unloading it too', { skip }, async t => {
  const machine = await patchedModule(t);
  const { machine: files, journal, kernel } = machine.manager;
  beginAction(journal, kernel, 'reload', ext4Name, [], 'loop').step('target loaded');
  machine.disable();
  const left = () => findUnfinishedReload(files, journal.read().entries, kernel.bootId);
  assert.equal(left()?.withdrawn, true);
  assert.equal(findUnfinishedReload(files, journal.read().entries, 'another boot'), undefined);
  beginAction(journal, kernel, 'load', 'kstitch_x', []).end('load-timed-out');
  beginAction(journal, kernel, 'unload', 'kstitch_x', []).end('removed');
  assert.equal(left()?.withdrawn, true);
  beginAction(journal, kernel, 'unload', ext4Name, []).end('removed');
  assert.equal(left(), undefined);
});

test('whatever keeps it from coming back is refused before anything is done', { skip }, async t => {
  const refused = async (work: Promise<unknown>) => {
    const { code, exitStatus } = await failure(work);
    return [code, exitStatus];
  };
  const unsafe = await patchedModule(t, { ...gated, unload: { verdict: 'unsafe', reasons: ['a timer'] } });
  assert.deepEqual(await refused(reload(unsafe.manager)), ['reload-livepatch-stays', 2]);

  const foreign = await patchedModule(t);
  rmSync(foreign.manager.store.directory, { recursive: true });
  assert.deepEqual(await refused(reload(foreign.manager)), ['reload-livepatch-stays', 2]);

  const beside = await patchedModule(t);
  copyLivepatch(beside.manager.machine, ext4Name, 'kstitch_other');
  assert.deepEqual(await refused(reload(beside.manager)), ['reload-livepatch-stays', 2]);

  const sealed = await patchedModule(t, gated, { 'proc/sys/kernel/modules_disabled': '1\n' });
  assert.deepEqual(await refused(reload(sealed.manager)), ['load-modules-disabled', 2]);

  const busy = await patchedModule(t);
  const modules = join(busy.manager.machine.root, 'proc/modules');
  writeFileSync(
    modules,
    readFileSync(modules, 'utf8').replace(loopLine, 'loop 32768 2 dm_x,dm_y, Live 0x0\n'),
  );
  const error = await failure(reload(busy.manager));
  assert.deepEqual([error.code, error.exitStatus], ['reload-module-busy', 4]);
  assert.match(error.message, /by dm_x, dm_y$/);

  const { manager } = await patchedModule(t);
  assert.deepEqual(await refused(reload(manager, { confirm: () => Promise.resolve(false) })), [
    'reload-declined',
    1,
  ]);
  standIn(t, 'modprobe', 'echo "FATAL: Module loop not found" >&2; exit 1');
  assert.deepEqual(await refused(reload(manager)), ['reload-module-unknown', 2]);
  for (const each of [unsafe, foreign, beside, sealed, busy, { manager }])
    assert.deepEqual(each.manager.journal.read().entries, []);
});

test('where nothing is in the way there is nothing to do', { skip }, async t => {
  const notNeeded = async (manager: Manager, target = 'loop') => {
    const { code, exitStatus, message } = await failure(reload(manager, { target }));
    assert.deepEqual([code, exitStatus], ['reload-not-needed', 3]);
    return message;
  };
  assert.match(await notNeeded((await patchedModule(t)).manager, 'dummy'), /it is not loaded$/);
  const free = await patchedModule(t, { references: [] });
  assert.match(await notNeeded(free.manager), /no livepatch is in the way$/);
  const newer = await patchedModule(t, gated, { 'proc/sys/kernel/osrelease': '6.12.1-amd64\n' });
  assert.match(await notNeeded(newer.manager), /by itself$/);
});
