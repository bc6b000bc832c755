/** A kit that is carried to a machine without a network: exported here, imported there into an empty cache, and built with. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { run } from '@kstitch/host/run';
import { silentContext } from '@kstitch/report/context';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { testKit } from '@kstitch/testkit/kit';
import { exportKit } from './export-kit.ts';

const { kit } = await testKit();
await mkdir(cacheDirectory(), { recursive: true });
const work = await mkdtemp(join(cacheDirectory(), 'offline-test-'));
after(() => rm(work, { recursive: true, force: true, maxRetries: 5, retryDelay: 500 }));

/** A normal user may make a network namespace only within a user namespace of its own. */
const alone = process.getuid?.() === 0 ? ['--net'] : ['--user', '--map-root-user', '--net'];
const skip = (() => {
  try {
    execFileSync('unshare', [...alone, 'true'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'this machine allows no network namespace';
  }
})();
const launcher = join(import.meta.dirname, '../../../cli/bin/kstitch');

test('a kit is exported, imported without a network, and a livepatch built with it', { skip }, async () => {
  const file = join(work, 'kit.tar');
  // This machine has the compiler: 120 packages of a root need not be fetched for that.
  const archive = await exportKit(silentContext(), kit.name, file, { root: false });
  assert.deepEqual([archive.release, archive.packages], [kit.release, 5]);
  const patch = join(work, 'dummy.patch');
  await writeFile(
    patch,
    await editPatch('drivers/net/dummy.c', '\tdev->min_mtu = 0;\n', '\tdev->min_mtu = 68;\n'),
    'latin1',
  );
  const cache = join(work, 'cache');
  const kstitch = async (...words: string[]) => {
    const { stdout } = await run('unshare', [...alone, launcher, ...words, '--json', '--quiet'], {
      env: { KSTITCH_CACHE: cache },
    });
    return JSON.parse(stdout) as Record<string, unknown> & { readonly bundle: { readonly kernel: unknown } };
  };
  // Not even the loopback device is up there.
  const { stdout } = await run('unshare', [...alone, 'cat', '/proc/net/route']);
  assert.equal(stdout.trim().split('\n').length, 1, stdout);

  const imported = await kstitch('kernel', 'import', file);
  assert.equal(imported['sha256'], archive.sha256);
  const { bundle } = await kstitch('build', patch, '--kernel', kit.release, '-o', join(work, 'out'));
  assert.deepEqual(bundle.kernel, {
    release: kit.release,
    packageVersion: kit.packageVersion,
    buildId: (bundle.kernel as { readonly buildId: string }).buildId,
  });
  assert.deepEqual(
    (await readdir(join(work, 'out'))).map(name => name.replace(/_[0-9a-f]{8}\./, '.')).toSorted(),
    ['kstitch_dummy.json', 'kstitch_dummy.ko'],
  );
});
