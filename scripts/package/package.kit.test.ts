/** Building needs the most of what is beside the source in the repository: the executable makes the same livepatch without. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { testKit } from '@kstitch/testkit/kit';
import { deadlyPatch } from '@kstitch/testkit/manager-patches';
import { root } from '../repository.ts';
import { makeExecutable } from './executable.ts';

const directory = mkdtempSync(join(tmpdir(), 'kstitch-package-'));
after(() => rmSync(directory, { recursive: true, force: true }));

test('the executable builds the livepatch that the repository builds, byte for byte', async () => {
  const { release } = await testKit();
  const executable = join(directory, 'kstitch');
  mkdirSync(join(directory, 'work'));
  makeExecutable(join(directory, 'work'), executable);
  const patch = join(directory, 'version.patch');
  writeFileSync(patch, await deadlyPatch(), 'latin1');
  const [packaged, own] = [executable, join(root, 'packages/cli/bin/kstitch')].map((program, index) => {
    const output = join(directory, String(index));
    const words = ['build', patch, '--kernel', release, '--name', 'version', '--output', output];
    const { status, stderr } = spawnSync(program, words, { cwd: '/', encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    return readdirSync(output).map(name => [name, readFileSync(join(output, name)).toString('base64')]);
  });
  assert.equal(packaged?.length, 2);
  assert.deepEqual(packaged, own);
});
