/**
 * A disk with Debian's user land as apt makes it, systemd in it, for machines in which kstitch's package is installed. It is made
 * once and kept in the cache; whoever boots it takes a copy.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { suiteOf } from '@kstitch/build/root/suites';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { exists } from '@kstitch/host/files';
import { withLock } from '@kstitch/host/lock';
import { run } from '@kstitch/host/run';
import type { Context } from '@kstitch/report/context';

/** For `{ skip: missingDebianImage }` of a test that boots one: `false` where it can be made, else the reason. */
export const missingDebianImage: string | false = (() => {
  if (process.getuid?.() !== 0) return 'only root makes a Debian for virtual machines';
  return spawnSync('mmdebstrap', ['--version']).status === 0 ? false : 'mmdebstrap is not installed';
})();

/** Besides the essential packages: what makes it boot, and what kstitch's package depends on. */
const packages = ['systemd-sysv', 'udev', 'dbus', 'kmod', 'libstdc++6'];

/** Sparse: what is not used takes no room. */
const imageMebibytes = 2048;

/**
 * @param release - of the kernel that will run there; it names the Debian release
 * @param path - of the copy, which does not exist yet
 */
export async function copyDebianImage(context: Context, release: string, path: string): Promise<void> {
  const image = await debianImage(context, release);
  await run('cp', ['--sparse=always', image, path], { signal: context.signal });
}

async function debianImage(context: Context, release: string): Promise<string> {
  const suite = suiteOf(release);
  if (suite === undefined) throw new Error(`'${release}' does not name its Debian release`);
  const recipe = [suite.sources, ...packages, String(imageMebibytes)].join('\n');
  const hash = createHash('sha256').update(recipe).digest('hex').slice(0, 16);
  const folder = join(cacheDirectory(), 'guests');
  const image = join(folder, `${suite.name}-${hash}.img`);
  return await withLock(context, `guest ${suite.name}`, async () => {
    if (await exists(image)) return image;
    await mkdir(folder, { recursive: true });
    const partial = `${image}.partial`;
    await rm(partial, { force: true });
    // mmdebstrap still has /proc and others mounted in the root when it calls the hook: they are not in a mount of it alone.
    const makeFileSystem = [
      'mkdir "$1.alone" && mount --bind "$1" "$1.alone"',
      `PATH="$PATH:/usr/sbin" mke2fs -q -F -t ext4 -d "$1.alone" '${partial}' ${imageMebibytes}M`,
      'umount "$1.alone" && rmdir "$1.alone"',
    ].join(' && ');
    await run(
      'mmdebstrap',
      [
        '--quiet',
        '--variant=essential',
        '--format=null',
        `--include=${packages.join(',')}`,
        '--dpkgopt=path-exclude=/usr/share/doc/*',
        '--dpkgopt=path-exclude=/usr/share/locale/*',
        // Nobody logs in, and a machine without a network waits for none.
        '--customize-hook=ln -sf /dev/null "$1/etc/systemd/system/systemd-networkd-wait-online.service"',
        `--customize-hook=${makeFileSystem}`,
        suite.name,
        '/dev/null',
        '-',
      ],
      { input: suite.sources, signal: context.signal },
    );
    await rename(partial, image);
    return image;
  });
}
