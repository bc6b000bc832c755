import assert from 'node:assert/strict';
import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { Apt } from './apt.ts';
import { withArchive } from './test-archive.ts';

const cache = await mkdtemp(join(tmpdir(), 'kstitch-apt-test-'));
process.env['KSTITCH_CACHE'] = cache;
after(() => rm(cache, { recursive: true }));

const source = { name: 'linux-source-6.1', version: '6.1.192-1' };

test('lists that cannot be fetched are an error when there are none yet', async () => {
  await withArchive([source], async archive => {
    archive.vanish();
    const context = silentContext();
    await assert.rejects(new Apt('none-yet', archive.sources).refresh(context), error => {
      assert.ok(error instanceof KstitchError && error.code === 'kit-lists-failed');
      assert.match(error.notes.join('\n'), /Failed to fetch .*404/);
      return true;
    });
    assert.deepEqual(context.diagnostics, []);
  });
});

test('lists that cannot be brought up to date are used as they are, with a caution', async () => {
  await withArchive([source], async archive => {
    const apt = new Apt('old', archive.sources);
    const context = silentContext();
    await apt.refresh(context);
    await apt.refresh(context);
    assert.equal(archive.asked(), 1);

    const stamp = join(cache, 'apt/old/refreshed');
    const twoHoursAgo = new Date(Date.now() - 2 * 60 * 60 * 1000);
    await utimes(stamp, twoHoursAgo, twoHoursAgo);
    archive.vanish();
    await apt.refresh(context);
    assert.equal(archive.asked(), 2);
    const [caution] = context.diagnostics;
    assert.deepEqual([caution?.code, caution?.severity], ['kit-lists-old', 'caution']);
    assert.match(caution?.notes.join('\n') ?? '', /404/);
    const [found] = await apt.show(source.name, context.signal);
    assert.equal(found?.version, source.version);

    // They are still old: the next run tries again.
    await apt.refresh(context);
    assert.equal(archive.asked(), 3);
  });
});

test('an interrupt while lists are fetched is no failure of the archive', async () => {
  await withArchive([source], async archive => {
    const context = silentContext(AbortSignal.abort());
    await assert.rejects(
      new Apt('interrupted', archive.sources).refresh(context),
      error => error instanceof KstitchError && error.code === 'interrupted',
    );
  });
});
