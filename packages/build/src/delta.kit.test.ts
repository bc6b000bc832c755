import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { withTemporaryDirectory } from '@kstitch/host/files';
import { run } from '@kstitch/host/run';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { testKit } from '@kstitch/testkit/kit';
import { kernelDelta } from './delta.ts';

test('the difference of one file applies to the source it was taken from', async () => {
  const { sourceDirectory } = await testKit();
  const patch = await kernelDelta(silentContext(), '6.1.192-1', '6.1.192-2', ['fs/ext4/mballoc.c']);
  assert.match(
    patch,
    /^diff --git a\/fs\/ext4\/mballoc\.c b\/fs\/ext4\/mballoc\.c\n--- a\/fs\/ext4\/mballoc\.c\n\+\+\+ b\/fs\/ext4\/mballoc\.c\n@@ /,
  );
  assert.equal(patch.match(/^diff /gm)?.length, 1);
  await withTemporaryDirectory('delta-test', async directory => {
    await mkdir(join(directory, 'fs/ext4'), { recursive: true });
    await copyFile(join(sourceDirectory, 'fs/ext4/mballoc.c'), join(directory, 'fs/ext4/mballoc.c'));
    await run('git', ['apply', '--check', '-'], { cwd: directory, input: patch });
    await run('git', ['apply', '-'], { cwd: directory, input: patch });
    const fixed = await readFile(join(directory, 'fs/ext4/mballoc.c'), 'utf8');
    assert.doesNotMatch(fixed, /IS_ERR\(folio\)/);
    await rm(directory, { recursive: true });
  });
});

test('what does not exist is refused by name', async () => {
  const context = silentContext();
  await assert.rejects(kernelDelta(context, '6.1.192-1', '6.1.192-77', []), error => {
    assert.ok(error instanceof KstitchError && error.code === 'delta-version-unknown');
    assert.match(error.message, /'6\.1\.192-2'/);
    return true;
  });
  for (const file of ['../etc/passwd', '/etc/passwd', '', '--to-command=sh']) {
    await assert.rejects(
      kernelDelta(context, '6.1.192-1', '6.1.192-2', [file]),
      error => error instanceof KstitchError && error.code === 'delta-file-unknown',
    );
  }
});
