/** Which files and folders this process has on the disk for certain: a test cannot take the power away. */
import fs, { fstatSync, readlinkSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import type { TestContext } from 'node:test';

/** @param see - is told of each sync once it is done */
export async function recordSyncs(
  t: TestContext,
  see: (path: string, kind: 'file' | 'folder') => void,
): Promise<void> {
  const tell = (file: number) =>
    see(readlinkSync(`/proc/self/fd/${file}`), fstatSync(file).isDirectory() ? 'folder' : 'file');

  const handle = await open('/');
  const prototype: { sync: typeof handle.sync } = Object.getPrototypeOf(handle);
  await handle.close();
  const { sync } = prototype;
  t.mock.method(prototype, 'sync', async function (this: typeof handle) {
    await sync.call(this);
    tell(this.fd);
  });

  const { fsyncSync } = fs;
  const { mock } = t.mock.method(fs, 'fsyncSync', (file: number) => {
    fsyncSync(file);
    tell(file);
  });
  syncBuiltinESMExports();
  t.after(() => {
    mock.restore();
    syncBuiltinESMExports();
  });
}
