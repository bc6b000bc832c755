import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { compareDebianVersions } from './debian-version.ts';

const versions = [
  '6.1.192-1',
  '6.1.192-2',
  '6.1.192-2~deb11u1',
  '6.1.1920-1',
  '6.1.27-1',
  '6.1~rc7-1~exp1',
  '6.1-1',
  '6.12.117-1~deb12u1',
  '6.12.117-1',
  '1:4.0-1',
  '6.1.192',
  '6.1.192+b1-1',
  '6.1.192a-1',
  '006.1.192-1',
];

test('orders versions as dpkg does, every pair of them', () => {
  for (const a of versions) {
    for (const b of versions) {
      const relation = Math.sign(compareDebianVersions(a, b));
      const operator = relation < 0 ? 'lt' : relation > 0 ? 'gt' : 'eq';
      const { status } = spawnSync('dpkg', ['--compare-versions', a, operator, b]);
      assert.equal(status, 0, `${a} ${operator} ${b}`);
    }
  }
});
