import assert from 'node:assert/strict';
import { test } from 'node:test';
import { modulesNotReloadable } from './module-reload.ts';

const references = [
  { object: 'nf_tables', gate: 'nf_tables' },
  { object: 'dm_mod', gate: 'dm_crypt' },
  { object: 'nf_tables', gate: 'nf_tables' },
  { object: 'vmlinux', gate: 'loop' },
  { object: 'vmlinux', gate: 'vmlinux' },
];

test('modules with relocations of their own cannot be loaded again before Linux 6.3', () => {
  const expected = ['dm_crypt', 'nf_tables'];
  assert.deepEqual(modulesNotReloadable('6.1', references), expected);
  assert.deepEqual(modulesNotReloadable('6.1.0-55-cloud-amd64', references), expected);
  assert.deepEqual(modulesNotReloadable('5.10.0-30-amd64', references), expected);
  assert.deepEqual(modulesNotReloadable('6.2.9', references), expected);
  for (const release of ['6.3.0', '6.12.117+deb12-cloud-amd64', '6.12', '7.0'])
    assert.deepEqual(modulesNotReloadable(release, references), []);
});
