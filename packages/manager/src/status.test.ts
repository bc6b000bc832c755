import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ext4Name, keep, pipeName, recordedManager, recordOf } from './fixture-machine.ts';
import { beginAction, notBegun } from './journal.ts';
import { readStatus, readVisibleStatus, tellHidden, tellUnknown } from './status.ts';

test('a machine without livepatches is well', async t => {
  assert.deepEqual(await readStatus(recordedManager(t, 'bare')), {
    health: 'well',
    boot: { installed: null, active: false, reasons: [], switchedOff: null, guard: null, others: [] },
    livepatches: [],
    unfinished: [],
    damagedJournalLines: 0,
  });
});

test('what kstitch loaded is known with what it mends and since when', async t => {
  const manager = recordedManager(t, 'active');
  await keep(manager, recordOf('ext4', { cves: ['CVE-2026-0001'] }));
  beginAction(manager.journal, manager.kernel, 'load', ext4Name, []).end('attested');
  const status = await readStatus(manager);
  const [one] = status.livepatches;
  assert.equal(one?.known, true);
  assert.deepEqual(one.cves, ['CVE-2026-0001']);
  assert.deepEqual(one.patches, ['ext4.patch']);
  assert.equal(one.since, manager.journal.read().entries.at(-1)?.at);
  assert.equal(one.attestation?.verdict, 'attested');
});

test('a livepatch of somebody else is shown, and one whose record is damaged', async t => {
  const manager = recordedManager(t, 'active');
  assert.equal((await readStatus(manager)).livepatches[0]?.known, false);
  mkdirSync(manager.store.directory, { recursive: true });
  writeFileSync(join(manager.store.directory, `${ext4Name}.json`), '{');
  assert.equal((await readStatus(manager)).livepatches[0]?.known, false);
  // A record under a wrong name is not taken for another livepatch's.
  writeFileSync(join(manager.store.directory, `${ext4Name}.json`), JSON.stringify(recordOf('pipe')));
  assert.equal((await readStatus(manager)).livepatches[0]?.known, false);
});

test('who is not root is told that what is known is hidden, and root is not', async t => {
  const manager = recordedManager(t, 'active');
  const status = await readStatus(manager);
  assert.deepEqual(tellHidden(status, 0), []);
  const [finding, ...more] = tellHidden(status, 1000);
  assert.deepEqual(more, []);
  assert.equal(finding?.code, 'list-not-root');
  assert.match(finding.text, new RegExp(`'${ext4Name}'.*only root`));
  await keep(manager, recordOf('ext4'));
  assert.deepEqual(tellHidden(await readStatus(manager), 1000), []);
});

test('to others than root the health is unknown, whatever a folder of their own has', async t => {
  const manager = recordedManager(t, 'active');
  await keep(manager, recordOf('ext4'));
  const seen = await readVisibleStatus(manager, {}, 1000);
  assert.deepEqual([seen.health, seen.boot], ['unknown', null]);
  assert.deepEqual(
    seen.livepatches.map(({ name, phase, known }) => [name, phase, known]),
    [[ext4Name, 'active', false]],
  );
  assert.deepEqual(
    tellUnknown(seen).map(({ code }) => code),
    ['state-not-root'],
  );
  for (const own of [
    await readVisibleStatus(manager, {}, 0),
    await readVisibleStatus(manager, { KSTITCH_STATE: '/srv' }, 1000),
  ])
    assert.deepEqual([own.health, own.livepatches[0]?.known, tellUnknown(own)], ['well', true, []]);
});

test('a transition is stuck when it began long ago, or nobody knows when', async t => {
  const manager = recordedManager(t, 'enabling-task');
  assert.equal((await readStatus(manager)).health, 'transition stuck');
  beginAction(manager.journal, manager.kernel, 'load', pipeName, []);
  const young = await readStatus(manager);
  assert.equal(young.health, 'well');
  assert.deepEqual(
    young.unfinished.map(({ action, livepatch }) => [action, livepatch]),
    [['load', pipeName]],
  );
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_600_000 });
  assert.equal((await readStatus(manager)).health, 'well', 'a clock that was set');
  const { machine, kernel } = manager;
  writeFileSync(join(machine.root, 'proc/uptime'), `${kernel.uptime + 61} 0.00\n`);
  assert.equal((await readStatus(manager)).health, 'transition stuck');
});

test('one that the kernel calls active and leads no calls to is a fix withdrawn', async t => {
  const manager = recordedManager(t, 'active', { 'sys/kernel/tracing/enabled_functions': '' });
  const status = await readStatus(manager);
  assert.deepEqual(
    [status.health, status.livepatches[0]?.attestation?.verdict],
    ['fix withdrawn', 'not in force'],
  );
});

test('a livepatch that was forced needs a reboot', async t => {
  const manager = recordedManager(t, 'active');
  const force = beginAction(manager.journal, manager.kernel, 'force', ext4Name, []);
  assert.equal((await readStatus(manager)).health, 'reboot needed', 'killed before it wrote how that ended');
  force.end('active');
  const status = await readStatus(manager);
  assert.equal(status.health, 'reboot needed');
  beginAction(manager.journal, manager.kernel, 'force', ext4Name, []).end(notBegun);
  assert.equal((await readStatus(manager)).health, 'reboot needed', 'what was forced stays so');
  assert.equal(status.livepatches[0]?.forced, true);
});
