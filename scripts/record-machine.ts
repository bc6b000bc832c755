import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildLivepatch } from '@kstitch/build/build-livepatch';
import { fetchKit } from '@kstitch/build/kit/kit';
import { withTemporaryDirectory } from '@kstitch/host/files';
import { run } from '@kstitch/host/run';
import { silentContext } from '@kstitch/report/context';
import { ibtRelease, testRelease } from '@kstitch/testkit/kit';
import { blockerPatches } from '@kstitch/testkit/manager-patches';
import { writeTreeText } from '@kstitch/testkit/tree-text';
import { bootOnce } from '@kstitch/vm/boot-once';
import { root } from './repository.ts';

/**
 * Records what packages/manager reads of a machine, in each state that it tells apart, from the stock kernels in virtual
 * machines: `node scripts/record-machine.ts` writes packages/manager/src/fixtures, and with `6.12` fixtures/6.12.
 */
const release = process.argv[2] === '6.12' ? ibtRelease : testRelease;
const fixtures = join(root, 'packages/manager/src/fixtures', release === ibtRelease ? '6.12' : '');
const context = silentContext();
const kit = await fetchKit(context, release);

await withTemporaryDirectory('record', async directory => {
  const patches = await blockerPatches(kit.release);
  const built = Object.fromEntries(
    await Promise.all(
      Object.entries(patches).map(async ([name, patch]) => {
        const { bundle, modulePath, bundlePath } = await buildLivepatch(context, {
          patches: [{ name: `${name}.patch`, bytes: Buffer.from(patch, 'latin1') }],
          release: kit.release,
          name,
          outputDirectory: directory,
        });
        return [name, { module: bundle.module, modulePath, bundlePath }] as const;
      }),
    ),
  );
  const variables = Object.entries(built).map(([name, { module }]) => `${name.toUpperCase()}=${module}\n`);
  const { status, output, log } = await bootOnce(context, {
    kernel: {
      release: kit.release,
      vmlinuzPath: kit.paths.vmlinuz,
      modulesDirectory: kit.paths.modulesDirectory,
    },
    files: Object.values(built).map(({ module, modulePath }) => ({
      path: `/${module}.ko`,
      bytes: readFileSync(modulePath),
    })),
    script: variables.join('') + readFileSync(join(import.meta.dirname, 'record-machine.sh'), 'utf8'),
    timeoutSeconds: 900,
  });
  if (status !== 0) throw new Error(`the recording ended with status ${status}\n${log}`);

  const unpacked = join(directory, 'trees');
  mkdirSync(unpacked);
  await run('tar', ['-C', unpacked, '-xf', '-'], { input: output });
  mkdirSync(fixtures, { recursive: true });
  for (const name of readdirSync(unpacked))
    writeFileSync(join(fixtures, `${name}.tree`), writeTreeText(join(unpacked, name)));
  for (const [name, { bundlePath }] of Object.entries(built)) {
    writeFileSync(join(fixtures, `${name}.json`), readFileSync(bundlePath));
  }
});
