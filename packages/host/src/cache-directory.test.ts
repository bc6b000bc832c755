import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KstitchError } from '@kstitch/report/error';
import { cacheDirectory } from './cache-directory.ts';

test('KSTITCH_CACHE before XDG_CACHE_HOME before ~/.cache', () => {
  const all = { HOME: '/home/a', XDG_CACHE_HOME: '/xdg', KSTITCH_CACHE: '/own' };
  assert.equal(cacheDirectory(all), '/own');
  assert.equal(cacheDirectory({ ...all, KSTITCH_CACHE: '' }), '/xdg/kstitch');
  assert.equal(cacheDirectory({ HOME: '/home/a' }), '/home/a/.cache/kstitch');
});

test('a relative XDG_CACHE_HOME is ignored, a relative KSTITCH_CACHE refused', () => {
  assert.equal(cacheDirectory({ HOME: '/home/a', XDG_CACHE_HOME: 'xdg' }), '/home/a/.cache/kstitch');
  assert.throws(
    () => cacheDirectory({ KSTITCH_CACHE: 'here' }),
    error => error instanceof KstitchError && error.code === 'host-cache-relative',
  );
});
