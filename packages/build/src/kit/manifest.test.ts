import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manifestSchema, parseManifest } from './manifest.ts';

const whole = {
  schema: manifestSchema,
  release: '6.1.0-55-cloud-amd64',
  packageVersion: '6.1.192-1',
  series: '6.1',
  headers: 'packages/usr/src/linux-headers-6.1.0-55-cloud-amd64',
  units: 4775,
  packages: [{ name: 'linux-source-6.1', version: '6.1.192-1', size: 1, sha256: 'a'.repeat(64) }],
};

test('a manifest survives being written and read', () => {
  assert.deepEqual(parseManifest(JSON.stringify(whole)), whole);
});

test('a manifest names the build root that the kit was made in', () => {
  const inRoot = { ...whole, root: { suite: 'trixie', packages: whole.packages } };
  assert.deepEqual(parseManifest(JSON.stringify(inRoot)), inRoot);
});

test('whatever is not a manifest is none', () => {
  const broken: unknown[] = [
    '',
    null,
    [],
    { ...whole, schema: manifestSchema + 1 },
    { ...whole, release: '../../etc' },
    { ...whole, release: undefined },
    { ...whole, headers: 'packages/../../../etc' },
    { ...whole, headers: '/etc' },
    { ...whole, units: 1.5 },
    { ...whole, packages: [{ name: 'a' }] },
    { ...whole, root: null },
    { ...whole, root: { suite: '../trixie', packages: [] } },
    { ...whole, root: { suite: 'trixie', packages: [{ name: 'a' }] } },
  ];
  for (const value of broken)
    assert.equal(parseManifest(JSON.stringify(value)), undefined, JSON.stringify(value));
  assert.equal(parseManifest('{'), undefined);
});
