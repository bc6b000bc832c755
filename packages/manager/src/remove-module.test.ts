import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { ext4Name, keep, recordedManager, recordOf, standIn } from './fixture-machine.ts';
import { readUptime } from './kernel-identity.ts';
import { times } from './limits.ts';
import { removeModule } from './remove-module.ts';

const hour = 3600 * 1000;

for (const [what, before, meanwhile] of [
  ['set forward while the grace time runs', 0, hour],
  ['set forward since it was disabled', hour, hour],
  ['set back since it was disabled', -hour, -hour],
] as const)
  test(`a clock that is ${what} neither shortens nor lengthens it`, async t => {
    const manager = recordedManager(t, 'active');
    await keep(manager, recordOf('ext4'));
    standIn(t, 'rmmod', 'exit 0');
    const disabled = Date.now();
    const disabledAt = readUptime(manager.machine);
    t.mock.timers.enable({ apis: ['Date'], now: disabled + before });
    const began = performance.now();
    const removing = removeModule(silentContext(), manager, { name: ext4Name, graceSeconds: 1, disabledAt });
    t.mock.timers.setTime(disabled + meanwhile);
    assert.equal((await removing).removed, true);
    const seconds = (performance.now() - began) / 1000;
    assert.ok(seconds >= 1 + times.betweenLooks - 0.01 && seconds < 20, `${seconds}`);
  });
