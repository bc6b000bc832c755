import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { Apt, type AptPackage } from './apt.ts';

let cache = '';
const context = silentContext();
const apt = () => new Apt();
let kbuild: AptPackage;

before(async () => {
  cache = await mkdtemp(join(tmpdir(), 'kstitch-apt-test-'));
  process.env['KSTITCH_CACHE'] = cache;
});
after(() => rm(cache, { recursive: true }));

test("lists are fetched into kstitch's own folder, once an hour, and the machine's stay as they are", async () => {
  const system = async () => [
    (await stat('/var/lib/apt/lists')).mtimeMs,
    await readdir('/var/lib/apt/lists'),
  ];
  const before = await system();
  await apt().refresh(context);
  const stamp = join(cache, 'apt/machine/refreshed');
  const first = (await stat(stamp)).mtimeMs;
  await apt().refresh(context);
  assert.equal((await stat(stamp)).mtimeMs, first);
  assert.deepEqual(await system(), before);
  const [found] = await apt().show('linux-kbuild-6.1', context.signal);
  assert.ok(found !== undefined && found.size > 500_000);
  kbuild = found;
  assert.deepEqual(await apt().show('linux-no-such-package', context.signal), []);
});

test('a package is filed under its content, whatever an earlier run left of it', async () => {
  await mkdir(join(cache, 'apt/machine/arrived'), { recursive: true });
  await writeFile(join(cache, 'apt/machine/arrived', `${kbuild.sha256}.deb`), 'not the beginning of it');
  const path = await apt().download(context, kbuild, () => {});
  assert.equal(path, join(cache, 'debs', `${kbuild.sha256}.deb`));
  assert.equal((await stat(path)).size, kbuild.size);
  assert.deepEqual(await readdir(join(cache, 'apt/machine/arrived')), []);
});

test('a package with another content is not taken', async () => {
  const other = { ...kbuild, sha256: '0'.repeat(64) };
  await assert.rejects(
    apt().download(context, other, () => {}),
    error => error instanceof KstitchError && error.code === 'kit-download-failed',
  );
  assert.ok(!(await readdir(join(cache, 'debs'))).includes(`${other.sha256}.deb`));
});
