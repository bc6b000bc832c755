import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { version } from './version.ts';

test('every package.json has the version that kstitch says it is', () => {
  const root = join(import.meta.dirname, '../../..');
  const manifests = globSync(['package.json', 'packages/*/package.json'], { cwd: root });
  assert.ok(manifests.length > 10);
  for (const path of manifests)
    assert.equal(JSON.parse(readFileSync(join(root, path), 'utf8')).version, version, path);
});
