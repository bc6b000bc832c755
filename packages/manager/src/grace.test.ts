/** How long load and unload wait before they remove a livepatch that is disabled. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { missingCompiler } from '@kstitch/testkit/compile';
import { countWaits, recordEarlier } from './fixture-grace.ts';
import {
  ext4Name,
  finishWhenReversed,
  keep,
  moduleFor,
  recordedManager,
  recordOf,
  standIn,
} from './fixture-machine.ts';
import { loadLivepatch } from './load.ts';
import { unloadLivepatch } from './unload.ts';

const skip = missingCompiler;

/** A machine on which the livepatch may be removed, as far as kstitch knows, and the kernel does not let it go. */
async function heldOnTo(t: TestContext, tree: Parameters<typeof recordedManager>[1]) {
  const manager = recordedManager(t, tree);
  await keep(manager, recordOf('ext4'));
  standIn(t, 'rmmod', 'echo "rmmod: ERROR: Module is in use" >&2; exit 1');
  return manager;
}

const reversed = { action: 'load', phase: 'end', result: 'reversed' } as const;

for (const [when, later, wanted] of [
  ['is known to be over, it is not waited for', [], 0],
  ['is not known, it begins now', [{ action: 'load', phase: 'end', result: 'attested' }], 1],
] as const)
  test(`load: where the grace time of one that is still there ${when}`, { skip }, async t => {
    const manager = await heldOnTo(t, 'disabled');
    recordEarlier(manager, reversed, ...later);
    const { module, bundle } = moduleFor(recordOf('ext4'));
    const { context, waits } = countWaits();
    const work = loadLivepatch(context, manager, {
      files: { module, record: JSON.stringify(bundle) },
      what: 'x.json',
      timeoutSeconds: 1,
      graceSeconds: 1,
      drop: [],
      dryRun: false,
    });
    await assert.rejects(work, { code: 'load-name-taken' });
    assert.equal(waits.length, wanted);
    assert.ok(waits.every(seconds => seconds > 0.9));
  });

for (const [what, uptime] of [
  ['the clock of the day was set forward since', 29],
  ['an older version wrote when, by the clock of the day alone', undefined],
] as const)
  test(`unload: the grace time of one that is disabled is waited for where ${what}`, async t => {
    const manager = await heldOnTo(t, 'disabled');
    recordEarlier(manager, reversed);
    writeFileSync(join(manager.machine.root, 'proc/uptime'), '30.00 0.00\n');
    const [line] = manager.journal.read().entries;
    writeFileSync(manager.journal.path, `${JSON.stringify({ ...line, uptime })}\n`);
    const { context, waits } = countWaits();
    await unloadLivepatch(context, manager, {
      name: ext4Name,
      timeoutSeconds: 5,
      graceSeconds: 2,
      keep: false,
    });
    assert.equal(waits.length, 1);
    const whole = uptime === undefined ? 2 : 1;
    assert.ok(waits.every(seconds => seconds > whole - 0.1));
  });

for (const [what, tree, wanted] of [
  ['one that was disabled before has waited', 'disabled', 0],
  ['one that is in force, put there by whoever, waits from its disabling on', 'active', 1],
] as const)
  test(`unload: ${what}`, async t => {
    const manager = await heldOnTo(t, tree);
    recordEarlier(manager, reversed);
    if (tree === 'active') t.after(finishWhenReversed(manager.machine, ext4Name, '0'));
    const { context, waits } = countWaits();
    const { result } = await unloadLivepatch(context, manager, {
      name: ext4Name,
      timeoutSeconds: 5,
      graceSeconds: 1,
      keep: false,
    });
    assert.equal(result, 'disabled');
    assert.equal(waits.length, wanted);
    assert.ok(waits.every(seconds => seconds > 0.9));
  });
