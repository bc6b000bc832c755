/** A module that somebody removed, and that the kernel loads again, or does not, because of the livepatch. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { missingCompiler } from '@kstitch/testkit/compile';
import { ext4Name, standIn } from './fixture-machine.ts';
import {
  assertRestored,
  failure,
  gated,
  loopLine,
  type PatchedModule,
  patchedModule,
  reload,
} from './fixture-patched-module.ts';
import { beginAction } from './journal.ts';
import { alone, type Manager } from './manager.ts';
import { planReload } from './plan-reload.ts';
import { readStatus } from './status.ts';
import { findUnfinishedReload } from './unfinished-reload.ts';

const skip = missingCompiler;

/** The kernel refuses the module as long as the livepatch is active that was in it before. */
function refuseWhileActive(t: TestContext, { machine: { root } }: Manager): void {
  standIn(
    t,
    'modprobe',
    `[ "$1" = -D ] && { echo "insmod /lib/$2.ko"; exit; }
     echo "modprobe $1" >> ${root}/calls
     [ -e ${root}/sys/kernel/livepatch/${ext4Name} ] && { echo "modprobe: ERROR: Exec format error" >&2; exit 1; }
     echo '${loopLine.trim()}' >> ${root}/proc/modules`,
  );
}

/** A reload was killed once it had removed the module; the livepatch was loaded by hand, so that it is in force. */
async function loadedByHand(t: TestContext): Promise<PatchedModule> {
  const machine = await patchedModule(t);
  const { journal, kernel } = machine.manager;
  const action = beginAction(journal, kernel, 'reload', ext4Name, [], 'loop');
  action.step('disabled');
  machine.removeTarget();
  action.step('target removed');
  beginAction(journal, kernel, 'load', ext4Name, []).end('attested');
  return machine;
}

const unasked = { confirm: () => Promise.reject(new Error('nothing is to be confirmed')) };

test('a module that somebody removed, and that the kernel refuses, is loaded again', { skip }, async t => {
  const { manager, calls, removeTarget } = await patchedModule(t);
  removeTarget();
  refuseWhileActive(t, manager);
  const { livepatch, attestation } = await reload(manager);
  assert.deepEqual([livepatch, attestation?.verdict], [ext4Name, 'attested']);
  assert.deepEqual(calls(), ['modprobe loop', 'modprobe loop', `rmmod ${ext4Name}`, 'insmod']);
  await assertRestored(manager);
});

test('one that the kernel takes is loaded, and no fix withdrawn', { skip }, async t => {
  const { manager, calls, removeTarget } = await patchedModule(t);
  beginAction(manager.journal, manager.kernel, 'load', ext4Name, []).end('attested');
  const since = manager.journal.read().entries.at(-1)?.at;
  removeTarget();
  assert.equal((await reload(manager, unasked)).inactiveSeconds, 0);
  assert.deepEqual(calls(), ['modprobe loop']);
  await assertRestored(manager, 'target only');
  assert.equal((await readStatus(manager)).livepatches[0]?.since, since);
});

test('one that no livepatch patches is not loaded', { skip }, async t => {
  const { manager, removeTarget } = await patchedModule(t, { ...gated, references: [] });
  removeTarget();
  const error = await failure(reload(manager));
  assert.deepEqual([error.code, error.help], ['reload-not-needed', 'modprobe loop']);
  assert.match(error.message, /it is not loaded$/);
});

test('a module that a killed run left out while the fix is in force is told, and no fix withdrawn', {
  skip,
}, async t => {
  const { manager, calls } = await loadedByHand(t);
  const { health, unfinishedReload } = await readStatus(manager);
  assert.deepEqual(
    [health, unfinishedReload?.withdrawn, unfinishedReload?.targetMissing],
    ['well', false, true],
  );
  const context = silentContext();
  await alone(context, manager, () => Promise.resolve());
  assert.deepEqual(
    context.diagnostics.map(({ code, help }) => [code, help]),
    [['reload-unfinished', 'load it: modprobe loop; if the kernel refuses it: kstitch reload-target loop']],
  );
  await reload(manager, unasked);
  assert.deepEqual(calls(), ['modprobe loop']);
  await assertRestored(manager, 'target only');
});

test('another livepatch that took its place is the one that the plan is about', { skip }, async t => {
  const { manager } = await loadedByHand(t);
  const { machine, journal, kernel } = manager;
  const unfinished = findUnfinishedReload(machine, journal.read().entries, kernel.bootId);
  const plan = await planReload(
    manager,
    'loop',
    0,
    unfinished && { ...unfinished, livepatch: 'kstitch_gone' },
  );
  assert.deepEqual([plan.livepatch, plan.unfinished], [ext4Name, undefined]);
});

test('a run that was killed before it did anything leaves nothing to go on with', { skip }, async t => {
  const { manager, removeTarget } = await patchedModule(t);
  const { machine, journal, kernel } = manager;
  removeTarget();
  beginAction(journal, kernel, 'reload', ext4Name, [], 'loop');
  assert.equal(findUnfinishedReload(machine, journal.read().entries, kernel.bootId), undefined);
});
