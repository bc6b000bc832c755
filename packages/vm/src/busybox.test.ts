import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { KstitchError } from '@kstitch/report/error';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { readBusybox } from './busybox.ts';

const directory = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(directory, { recursive: true }));

test('a dynamically linked busybox is passed over', { skip: missingCompiler }, async () => {
  const source = 'int main(void) { return 0; }';
  const dynamic = join(directory, 'dynamic');
  const fixed = join(directory, 'static');
  writeFileSync(dynamic, compileC(source, [], { link: true }));
  writeFileSync(fixed, compileC(source, ['-static'], { link: true }));
  assert.deepEqual(await readBusybox([dynamic, fixed]), await readBusybox([fixed]));
  await assert.rejects(readBusybox([dynamic, join(directory, 'none')]), error => {
    assert.ok(error instanceof KstitchError && error.code === 'vm-busybox-missing');
    assert.deepEqual(error.notes, [
      `'${dynamic}' is dynamically linked`,
      `'${join(directory, 'none')}' is not there`,
    ]);
    return true;
  });
});
