import assert from 'node:assert/strict';
import { access, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { KstitchError } from '@kstitch/report/error';
import { recordSyncs } from '@kstitch/testkit/record-syncs';
import {
  buildDirectoryAtomically,
  makeDirectoryDurably,
  removeDurably,
  withTemporaryDirectory,
  writeAtomically,
  writeDurably,
} from './files.ts';
import { run } from './run.ts';

test('a file is replaced as a whole and nothing else stays', async () => {
  await withTemporaryDirectory('files-test', async directory => {
    await writeFile(join(directory, 'file'), 'old');
    await writeAtomically(join(directory, 'file'), 'new');
    assert.equal(await readFile(join(directory, 'file'), 'utf8'), 'new');
    assert.deepEqual(await readdir(directory), ['file']);
  });
});

test('what has to outlive a power loss is synced with the folder that names it', async t => {
  await withTemporaryDirectory('files-test', async directory => {
    const synced: ('file' | 'folder')[] = [];
    await recordSyncs(t, (_path, kind) => synced.push(kind));
    const takeSynced = () => synced.splice(0);

    const folder = join(directory, 'a/b');
    await makeDirectoryDurably(folder, 0o700);
    assert.deepEqual(takeSynced(), ['folder', 'folder']);
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
    await makeDirectoryDurably(folder, 0o700);
    assert.deepEqual(takeSynced(), []);

    const file = join(folder, 'file');
    await writeDurably(file, 'text', { mode: 0o600 });
    assert.deepEqual(takeSynced(), ['file', 'folder']);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    await removeDurably(file);
    assert.deepEqual([takeSynced(), await readdir(folder)], [['folder'], []]);
    await removeDurably(file);

    await assert.rejects(removeDurably(directory), { code: 'host-file-failed' });
    await writeFile(file, '');
    await assert.rejects(makeDirectoryDurably(join(file, 'x'), 0o700), { code: 'host-file-failed' });
  });
});

test('a file that cannot take its name leaves nothing behind', async () => {
  await withTemporaryDirectory('files-test', async directory => {
    await mkdir(join(directory, 'folder'));
    await assert.rejects(writeAtomically(join(directory, 'folder'), 'text'), (error: unknown) => {
      assert.ok(error instanceof KstitchError);
      assert.equal(error.code, 'host-file-failed');
      assert.match(error.message, /^write '.*folder': .* \(E[A-Z]+\)$/);
      return true;
    });
    assert.deepEqual(await readdir(directory), ['folder']);
  });
});

test('a write that fails half way leaves the old file as it was', async () => {
  await withTemporaryDirectory('files-test', async directory => {
    const file = join(directory, 'file');
    await writeFile(file, 'old');
    // A limit on the size of files stands in for a disk: the kernel refuses in the same place, with EFBIG.
    const script = `import { writeAtomically } from ${JSON.stringify(import.meta.resolve('./files.ts'))};
      process.on('SIGXFSZ', () => {});
      await writeAtomically(${JSON.stringify(file)}, 'x'.repeat(100_000)).catch(error => console.log(error.code));`;
    const { stdout } = await run('prlimit', [
      '--fsize=1000',
      process.execPath,
      '--input-type=module',
      '-e',
      script,
    ]);
    assert.equal(stdout, 'host-file-failed\n');
    assert.equal(await readFile(file, 'utf8'), 'old');
    assert.deepEqual(await readdir(directory), ['file']);
  });
});

test('a folder has its name only when it is finished', async () => {
  await withTemporaryDirectory('files-test', async directory => {
    const final = join(directory, 'kit');
    await mkdir(join(directory, '.kit.0badc0de.partial'));
    const result = await buildDirectoryAtomically(final, async temporary => {
      await assert.rejects(access(final));
      assert.equal((await readdir(directory)).length, 1);
      await writeFile(join(temporary, 'content'), 'x');
      return 42;
    });
    assert.equal(result, 42);
    assert.deepEqual(await readdir(directory), ['kit']);
    assert.deepEqual(await readdir(final), ['content']);
  });
});

test('a folder whose making fails is gone', async () => {
  await withTemporaryDirectory('files-test', async directory => {
    const failing = buildDirectoryAtomically(join(directory, 'kit'), async temporary => {
      await writeFile(join(temporary, 'content'), 'x');
      throw new RangeError('half way');
    });
    await assert.rejects(failing, /half way/);
    assert.deepEqual(await readdir(directory), []);
  });
});

test('a temporary folder is gone after the work and when the process exits within it', async () => {
  const name = await withTemporaryDirectory('files-test', async directory => directory);
  await assert.rejects(access(name));
  const script = `import { withTemporaryDirectory } from ${JSON.stringify(import.meta.resolve('./files.ts'))};
    await withTemporaryDirectory('files-test', async directory => { console.log(directory); process.exit(0); });`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script]);
  assert.match(stdout, /files-test/);
  await assert.rejects(access(stdout.trim()));
});
