import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearestNames } from './nearest-names.ts';

test('the nearest names come first', () => {
  const names = ['6.12.117+deb12-amd64', '6.1.0-55-amd64', '6.1.0-55-cloud-amd64', '6.1.0-56-cloud-amd64'];
  assert.deepEqual(nearestNames('6.1.0-55-clod-amd64', names, 2), [
    '6.1.0-55-cloud-amd64',
    '6.1.0-56-cloud-amd64',
  ]);
  assert.deepEqual(nearestNames('x', []), []);
});
