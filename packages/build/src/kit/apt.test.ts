import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { Apt } from './apt.ts';
import { infoOf, withArchive } from './test-archive.ts';

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

test('a package with other bytes than the index says is refused, and fetched once the mirror is mended', async () => {
  const offers = ['linux-kbuild-6.1', 'linux-headers-6.1'].map(name => ({
    name,
    version: '6.1.192-1',
    file: Buffer.from(`${name}\n`.repeat(1000)),
  }));
  await withArchive(offers, async archive => {
    const [offer] = offers;
    assert.ok(offer);
    const context = silentContext();
    const infos = offers.map(infoOf);
    const apt = new Apt('wrong', archive.sources);
    await apt.refresh(context);
    archive.spoil(offer.name);
    const refused = (told: RegExp) => (error: unknown) => {
      assert.ok(error instanceof KstitchError && error.code === 'kit-download-failed', String(error));
      assert.match([error.message, ...error.notes].join('\n'), told);
      return true;
    };
    await assert.rejects(
      apt.download(context, infoOf(offer), () => {}),
      refused(/download 'linux-kbuild-6\.1' of version '6\.1\.192-1': .*Hash/s),
    );
    await assert.rejects(
      apt.downloadAll(context, infos, () => {}),
      refused(/download 2 packages: .*Hash/s),
    );
    const kept = async () => await readdir(join(cache, 'debs')).catch((): string[] => []);
    assert.ok(!(await kept()).includes(`${infoOf(offer).sha256}.deb`));

    archive.mend();
    const path = await apt.download(context, infoOf(offer), () => {});
    assert.ok(offer.file.equals(await readFile(path)));
    assert.equal((await apt.downloadAll(context, infos, () => {})).length, 2);
    assert.equal((await kept()).length, 2);
  });
});

test('a package that the index does not describe is refused, not left out', async () => {
  const offers = [
    { name: 'gcc-12', version: '12.2.0-14', depends: 'cpp-12' },
    { name: 'cpp-12', version: '12.2.0-14' },
  ];
  for (const hashless of [false, true]) {
    const [gcc, cpp] = offers;
    assert.ok(gcc && cpp);
    await withArchive([gcc, hashless ? { ...cpp, hashless } : cpp], async archive => {
      const context = silentContext();
      const apt = new Apt(`closure-${hashless}`, archive.sources);
      await apt.refresh(context);
      const found = apt.closure(['gcc-12'], context.signal);
      if (hashless)
        await assert.rejects(found, {
          code: 'kit-package-undescribed',
          message: /no version, size and SHA-256 of 'cpp-12=12\.2\.0-14'$/,
        });
      else
        assert.deepEqual(
          (await found).map(({ name }) => name),
          ['cpp-12', 'gcc-12'],
        );
    });
  }
});
