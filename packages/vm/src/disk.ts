/** Disk images, made on this machine so that the guest needs no more than busybox. */
import { open } from 'node:fs/promises';
import { fileError } from '@kstitch/host/files';
import { run } from '@kstitch/host/run';
import type { Context } from '@kstitch/report/context';

const MIB = 1024 * 1024;

/** @param mebibytes - size; the file is sparse and takes no room until it is written to */
export async function makeEmptyDisk(path: string, mebibytes: number): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.truncate(mebibytes * MIB);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(`write '${path}'`, error);
  }
}

/**
 * A fresh ext4, as `mkfs.ext4` makes it without options but for two: nothing is left for the kernel to initialise in the
 * background, where it would come between the reproducer's writes.
 *
 * @throws KstitchError - `host-tool-missing`, `host-tool-failed`, `host-disk-full`, `host-file-failed`
 */
export async function makeExt4Disk(context: Context, path: string, mebibytes: number): Promise<void> {
  await makeEmptyDisk(path, mebibytes);
  await run('mke2fs', ['-q', '-F', '-t', 'ext4', '-E', 'lazy_itable_init=0,lazy_journal_init=0', path], {
    signal: context.signal,
    // It lies outside the PATH of an ordinary user.
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
  });
}
