/** For tests: a kit that is none but in the cache's eyes, with empty files in place of everything. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { directoryOf } from '../root/build-root.ts';
import { type Manifest, manifestName, manifestSchema } from './manifest.ts';

/** @returns its folder */
export async function placeKit(
  made: Pick<Manifest, 'release' | 'packageVersion' | 'packages' | 'root'>,
): Promise<string> {
  const { release, root } = made;
  const directory = join(cacheDirectory(), 'kits', release);
  const manifest: Manifest = { schema: manifestSchema, series: '6.1', headers: 'headers', units: 0, ...made };
  const files = {
    [manifestName]: JSON.stringify(manifest),
    [`packages/boot/vmlinuz-${release}`]: '',
    [`packages/boot/config-${release}`]: '',
    [`packages/lib/modules/${release}/modules.order`]: '',
    vmlinux: '',
    'tree/Module.symvers': '',
    'headers/Makefile': '',
    'units.tsv': '',
  };
  const places = Object.entries(files).map(([path, text]) => [join(directory, path), text] as const);
  if (root !== undefined) places.push([join(directoryOf(root), 'usr/bin/make'), '']);
  for (const [path, text] of places) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
  return directory;
}
