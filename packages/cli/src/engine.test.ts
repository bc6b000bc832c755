import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

test('the Node.js that is ours knows the options that it is tuned with', () => {
  const tune = (before: string) =>
    spawnSync(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `import { setFlagsFromString } from 'node:v8';
         import { tuneForWork } from '${join(import.meta.dirname, 'engine.ts')}';
         ${before}
         tuneForWork();`,
      ],
      { encoding: 'utf8' },
    );
  assert.match(process.versions.node, /^24\./, 'of another Node.js nothing is known, and nothing is tuned');
  const { status, stdout, stderr } = tune('');
  assert.deepEqual([status, stdout, stderr], [0, '', '']);
  // V8 goes on where it does not know one, and says so.
  assert.match(tune("setFlagsFromString('--no-such-option');").stderr, /unrecognized flag/);
});
