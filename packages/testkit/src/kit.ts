import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedCompile } from '@kstitch/build/compile/cached-compile';
import { loadCompileDatabase } from '@kstitch/build/compile/compile-database';
import { compileAll } from '@kstitch/build/compile/compile-unit';
import { checkCompiler } from '@kstitch/build/compile/compiler';
import { loadKernel } from '@kstitch/build/kernel/load-kernel';
import { fetchKit, type Kit } from '@kstitch/build/kit/kit';
import { sampleUnits } from '@kstitch/build/verify-kernel';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { writeAtomically } from '@kstitch/host/files';
import { silentContext } from '@kstitch/report/context';

/** The kernel of the ext4 case: shipped with the bug that Debian fixed in 6.1.192-2. */
export const testRelease = '6.1.0-55-cloud-amd64';

/** A kernel with IBT, padding before functions and runtime constants. */
export const ibtRelease = '6.12.117+deb12-cloud-amd64';

export interface TestKit {
  readonly kit: Kit;
  readonly release: string;
  readonly vmlinux: string;
  readonly modulesDirectory: string;
  /** The prepared source; nothing may be written there. */
  readonly sourceDirectory: string;
}

/** @returns a kit that tests share, fetched when it is not in the cache yet */
export async function testKit(release = testRelease): Promise<TestKit> {
  const kit = await fetchKit(silentContext(), release);
  const { vmlinux, modulesDirectory, tree } = kit.paths;
  return { kit, release: kit.release, vmlinux, modulesDirectory, sourceDirectory: tree };
}

/**
 * @param count - how many
 * @param extraFlags - behind the kernel's own
 * @returns paths of that many compiled units of the test kernel, without objtool; the same ones each time, kept in the cache
 */
export async function compiledUnits(
  count: number,
  extraFlags: readonly string[] = [],
): Promise<readonly string[]> {
  const { kit } = await testKit();
  const context = silentContext();
  const toolchain = await checkCompiler(context, kit.workshop, (await loadKernel(kit)).banner);
  const units = sampleUnits(await loadCompileDatabase(kit), { sample: count, seed: 1 });
  const folder = join(cacheDirectory(), 'test-units', kit.release, extraFlags.join(''));
  await mkdir(folder, { recursive: true });
  const jobs = units.map(unit => ({
    label: unit.source,
    work: async () => {
      const path = join(folder, unit.object.replaceAll('/', '_'));
      const output = `${path}.${process.pid}.partial`;
      await writeAtomically(path, await cachedCompile(context, kit, unit, { output, toolchain, extraFlags }));
      return path;
    },
  }));
  return await compileAll(context, jobs);
}
