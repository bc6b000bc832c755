import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

/** @param before - what else is done first */
function tune(before: string) {
  const script = `${before}; import(process.argv[1]).then(({ tuneForWork }) => tuneForWork());`;
  const words = ['--eval', script, join(import.meta.dirname, 'engine.ts')];
  return spawnSync(process.execPath, words, { encoding: 'utf8' });
}

test('the Node.js that is ours knows the options that it is tuned with', () => {
  assert.match(process.versions.node, /^24\./, 'of another Node.js nothing is known, and nothing is tuned');
  const { status, stdout, stderr } = tune('');
  assert.deepEqual([status, stdout, stderr], [0, '', '']);
  // V8 goes on where it does not know one, and says so.
  assert.match(tune("v8.setFlagsFromString('--no-such-option')").stderr, /unrecognized flag/);
});
