/** Debian 12's 6.12: IBT, padding before functions, and code that holds numbers which vmlinux alone is given at boot. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { buildLivepatch } from '@kstitch/build/build-livepatch';
import { silentContext } from '@kstitch/report/context';
import { hiddenUptime } from '@kstitch/testkit/hidden-uptime';
import { ibtRelease, testKit } from '@kstitch/testkit/kit';
import { bootOnce } from '@kstitch/vm/boot-once';

const outputDirectory = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(outputDirectory, { recursive: true, force: true }));
const { kit } = await testKit(ibtRelease);

test('a function that asks access_ok() is patched on a kernel with IBT, twice', async () => {
  const { bundle, modulePath } = await buildLivepatch(silentContext(), {
    patches: [{ name: 'readdir.patch', bytes: Buffer.from(await hiddenUptime(), 'latin1') }],
    release: ibtRelease,
    name: 'readdir',
    outputDirectory,
  });
  assert.deepEqual(
    bundle.objects.map(({ name, functions }) => [name, functions.map(each => each.name)]),
    [['vmlinux', ['filldir64']]],
  );
  const state = `/sys/kernel/livepatch/${bundle.module}`;
  const { status, output, splats, log } = await bootOnce(silentContext(), {
    kernel: {
      release: kit.release,
      vmlinuzPath: kit.paths.vmlinuz,
      modulesDirectory: kit.paths.modulesDirectory,
    },
    modules: [],
    files: [{ path: '/livepatch.ko', bytes: readFileSync(modulePath) }],
    script: `
      until_true() { for i in $(seq 120); do "$@" && return; sleep 1; done; exit 1; }
      settled() { [ "$(cat ${state}/transition)" = 0 ]; }
      gone() { [ ! -d ${state} ]; }
      free() { rmmod ${bundle.module} 2>&-; }
      load() { insmod /livepatch.ko && until_true settled; }
      show() { ls /proc | grep -x -e meminfo -e uptime; echo .; }
      show
      load || exit 2
      show
      echo 0 > ${state}/enabled && until_true gone && until_true free || exit 4
      show
      load || exit 5
      show
    `,
    timeoutSeconds: 300,
  });
  const unpatched = 'meminfo\nuptime\n.\n';
  const patched = 'meminfo\n.\n';
  assert.equal(Buffer.from(output).toString(), unpatched + patched + unpatched + patched, log);
  assert.equal(status, 0, log);
  assert.deepEqual(splats, []);
});
