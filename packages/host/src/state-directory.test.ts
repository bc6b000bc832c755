import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isStateOfMachine, stateDirectory } from './state-directory.ts';

test('root keeps its state in /var/lib, everybody else below the home folder, KSTITCH_STATE decides', () => {
  assert.equal(stateDirectory({ HOME: '/root', XDG_STATE_HOME: '/x' }, 0), '/var/lib/kstitch');
  assert.equal(stateDirectory({ HOME: '/home/a' }, 1000), '/home/a/.local/state/kstitch');
  assert.equal(stateDirectory({ HOME: '/home/a', XDG_STATE_HOME: '/x' }, 1000), '/x/kstitch');
  assert.equal(
    stateDirectory({ HOME: '/home/a', XDG_STATE_HOME: 'x' }, 1000),
    '/home/a/.local/state/kstitch',
  );
  assert.equal(stateDirectory({ KSTITCH_STATE: '/srv/k' }, 0), '/srv/k');
  assert.throws(() => stateDirectory({ KSTITCH_STATE: 'k' }, 0), { code: 'host-state-relative' });
});

test("what root keeps is the machine's state, and what was named; a home folder has none of it", () => {
  assert.equal(isStateOfMachine({}, 0), true);
  assert.equal(isStateOfMachine({ KSTITCH_STATE: '/srv/k' }, 1000), true);
  assert.equal(isStateOfMachine({ KSTITCH_STATE: '', HOME: '/home/a' }, 1000), false);
});
