import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '@kstitch/host/run';
import { KstitchError } from '@kstitch/report/error';
import { unpackPackage, unpackSource } from './unpack.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-unpack-test-'));
after(() => rm(work, { recursive: true }));
const { signal } = new AbortController();

let whole = '';
before(async () => {
  whole = await sourcePackage('whole', 'linux-source-6.1');
});

/**
 * @param top - the folder in its archive
 * @returns path of a linux-source package with the files `Makefile` and `fs/a.c`
 */
async function sourcePackage(name: string, top: string, inner = 'linux-source-6.1.tar.xz'): Promise<string> {
  const folder = join(work, name);
  await mkdir(join(folder, 'DEBIAN'), { recursive: true });
  await mkdir(join(folder, 'usr/src'), { recursive: true });
  await mkdir(join(folder, top, 'fs'), { recursive: true });
  await writeFile(join(folder, top, 'Makefile'), 'VERSION = 6\n');
  await writeFile(join(folder, top, 'fs/a.c'), 'int a;\n');
  await run('tar', ['-C', folder, '-cJf', join(folder, 'usr/src', inner), top]);
  await rm(join(folder, top), { recursive: true });
  await writeFile(
    join(folder, 'DEBIAN/control'),
    'Package: linux-source-6.1\nVersion: 6.1.192-1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: a\n',
  );
  const deb = join(work, `${name}.deb`);
  await run('dpkg-deb', ['--root-owner-group', '--build', folder, deb]);
  return deb;
}

test('unpackPackage() unpacks all of a package', async () => {
  const into = join(work, 'package');
  await mkdir(into);
  await unpackPackage(whole, into, signal);
  assert.deepEqual(await readdir(join(into, 'usr/src')), ['linux-source-6.1.tar.xz']);
});

test('unpackSource() unpacks the source, all of it or the files named', async () => {
  const all = join(work, 'all');
  await unpackSource(whole, '6.1', all, signal);
  assert.equal(await readFile(join(all, 'fs/a.c'), 'utf8'), 'int a;\n');
  assert.equal(await readFile(join(all, 'Makefile'), 'utf8'), 'VERSION = 6\n');

  const some = join(work, 'some');
  await unpackSource(whole, '6.1', some, signal, ['fs/a.c', 'fs/no-such.c']);
  assert.deepEqual((await readdir(some, { recursive: true })).sort(), ['fs', 'fs/a.c']);

  const none = join(work, 'none');
  await unpackSource(whole, '6.1', none, signal, ['fs/no-such.c']);
  assert.deepEqual(await readdir(none), []);
});

test('a package without the source, or with another one, is not what was expected', async () => {
  const without = await sourcePackage('without', 'linux-source-6.1', 'linux-source-6.1.tar.zst');
  const other = await sourcePackage('other', 'linux-6.1.192');
  for (const [deb, members, text] of [
    [without, [], "read 'linux-source-6.1': it has no 'usr/src/linux-source-6.1.tar.xz'"],
    [without, ['fs/a.c'], "read 'linux-source-6.1': it has no 'usr/src/linux-source-6.1.tar.xz'"],
    [other, [], "read 'linux-source-6.1': it has no folder 'linux-source-6.1'"],
  ] as const) {
    await assert.rejects(unpackSource(deb, '6.1', join(work, 'refused'), signal, members), error => {
      assert.ok(error instanceof KstitchError);
      assert.deepEqual([error.code, error.message], ['kit-package-unexpected', text]);
      return true;
    });
    assert.deepEqual(
      (await readdir(work)).filter(name => name.startsWith('refused')),
      [],
    );
  }
});

test('a package that is cut short is not taken for one that lacks the source', async () => {
  const short = await sourcePackage('short', 'linux-source-6.1');
  await truncate(short, 300);
  for (const unpack of [
    () => unpackSource(short, '6.1', join(work, 'refused'), signal),
    () => unpackPackage(short, work, signal),
  ]) {
    await assert.rejects(unpack, error => {
      assert.ok(error instanceof KstitchError && error.code === 'host-tool-failed');
      assert.match(error.notes.join('\n'), /^dpkg-deb: error: unexpected end of file/m);
      return true;
    });
  }
});
