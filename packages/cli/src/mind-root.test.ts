import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mindRoot } from './mind-root.ts';

test('what the next boot loads only root may say, or who keeps a state folder of their own', () => {
  mindRoot('install', {}, 0);
  mindRoot('install', { KSTITCH_STATE: '/srv/state' }, 1000);
  for (const environment of [{}, { KSTITCH_STATE: '' }])
    assert.throws(() => mindRoot('install', environment, 1000), {
      code: 'machine-not-root',
      message: 'install: only root may say what the next boot loads',
    });
});

test('what was done to the kernel, and what is installed, nobody else is told that it is nothing', () => {
  mindRoot('history', { KSTITCH_STATE: '/srv/state' }, 1000);
  assert.throws(() => mindRoot('history', {}, 1000), {
    code: 'machine-not-root',
    message: 'history: only root may read the journal',
  });
  assert.throws(() => mindRoot('boot', {}, 1000), {
    code: 'machine-not-root',
    message: 'boot: only root may see what is installed',
  });
});
