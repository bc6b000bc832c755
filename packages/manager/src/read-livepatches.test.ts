import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyLivepatch, ext4Name, kthreaddName, pipeName, recorded } from './fixture-machine.ts';
import { readLivepatches, readPhase } from './read-livepatches.ts';

test('each state of a livepatch is told apart, in the order of loading', t => {
  const phases = (recording: Parameters<typeof recorded>[1]) =>
    readLivepatches(recorded(t, recording)).map(({ name, phase }) => [name, phase]);
  assert.deepEqual(phases('bare'), []);
  assert.deepEqual(phases('active'), [[ext4Name, 'active']]);
  assert.deepEqual(phases('enabling-task'), [
    [ext4Name, 'active'],
    [pipeName, 'enabling'],
  ]);
  assert.deepEqual(phases('disabling-task'), [
    [ext4Name, 'disabled'],
    [pipeName, 'disabling'],
  ]);
  assert.deepEqual(phases('disabled'), [
    [ext4Name, 'disabled'],
    [pipeName, 'disabled'],
  ]);
  assert.deepEqual(phases('enabling-kthread').at(-1), [kthreaddName, 'enabling']);
});

test('a livepatch that is gone from sysfs, and whose module is still used, is held', t => {
  const machine = recorded(t, 'disabled', { 'proc/modules': 'kstitch_x 16384 1 - Live 0x0 (OEK)\n' });
  assert.deepEqual(readLivepatches(machine), [
    { name: 'kstitch_x', phase: 'held', objects: [], replace: undefined },
  ]);
});

test('objects and functions are those of sysfs', t => {
  assert.deepEqual(readLivepatches(recorded(t, 'active')), [
    {
      name: ext4Name,
      phase: 'active',
      replace: undefined,
      objects: [
        { name: 'vmlinux', patched: true, functions: [{ name: 'ext4_mb_load_buddy_gfp', sympos: 1 }] },
      ],
    },
  ]);
});

test('kernels from 6.11 on say whether a livepatch replaces', t => {
  const replace = (value: string) =>
    readLivepatches(recorded(t, 'active', { [`sys/kernel/livepatch/${ext4Name}/replace`]: value }))[0]
      ?.replace;
  assert.deepEqual([replace('1\n'), replace('0\n')], [true, false]);
});

test('a module without livepatch is none, and what was loaded last comes last', t => {
  const machine = recorded(t, 'active');
  copyLivepatch(machine, ext4Name, 'aaa');
  assert.deepEqual(
    readLivepatches(machine).map(({ name }) => name),
    [ext4Name, 'aaa'],
  );
  assert.equal(readPhase(machine, 'aaa'), 'active');
  assert.equal(readPhase(machine, 'virtio_blk'), undefined);
});
