/** pr_debug() and netdev_dbg() in patched functions of the kernel and of a module: the livepatch's own messages. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { buildLivepatch } from '@kstitch/build/build-livepatch';
import { silentContext } from '@kstitch/report/context';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { testKit, testRelease } from '@kstitch/testkit/kit';
import { bootOnce } from '@kstitch/vm/boot-once';

const outputDirectory = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(outputDirectory, { recursive: true, force: true }));
const { kit } = await testKit();

test('debug messages of patched functions are switched on under the name of the livepatch', async () => {
  const shown = '\tseq_puts(m, saved_command_line);\n';
  const multicast = 'static void set_multicast_list(struct net_device *dev)\n{\n';
  const texts = [
    await editPatch('fs/proc/cmdline.c', shown, `\tpr_debug("stitched in vmlinux\\n");\n${shown}`),
    await editPatch(
      'drivers/net/dummy.c',
      multicast,
      `${multicast}\tnetdev_dbg(dev, "stitched in dummy\\n");\n`,
    ),
  ];
  const context = silentContext();
  const { bundle, modulePath } = await buildLivepatch(context, {
    patches: texts.map((text, i) => ({ name: `${i}.patch`, bytes: Buffer.from(text, 'latin1') })),
    release: testRelease,
    name: 'debug',
    outputDirectory,
  });
  assert.deepEqual(context.diagnostics.map(({ code, place }) => `${code}: ${place.symbol}`).sort(), [
    'debug-print-own: cmdline_proc_show',
    'debug-print-own: set_multicast_list',
  ]);

  const state = `/sys/kernel/livepatch/${bundle.module}`;
  const { status, output, splats, log } = await bootOnce(context, {
    kernel: {
      release: kit.release,
      vmlinuzPath: kit.paths.vmlinuz,
      modulesDirectory: kit.paths.modulesDirectory,
    },
    modules: ['dummy'],
    files: [{ path: '/livepatch.ko', bytes: readFileSync(modulePath) }],
    script: `
      control=/proc/dynamic_debug/control
      until_true() { for i in $(seq 120); do "$@" && return; sleep 1; done; exit 1; }
      settled() { [ "$(cat ${state}/transition)" = 0 ]; }
      gone() { [ ! -d ${state} ]; }
      free() { rmmod ${bundle.module} 2>&-; }
      use() { cat /proc/cmdline > /dev/null; ip link set dummy0 down; ip link set dummy0 up; }
      count() { echo "$1 $(dmesg | grep -c 'stitched in vmlinux') $(dmesg | grep -c 'stitched in dummy')"; }
      insmod /livepatch.ko && until_true settled || exit 2
      use; count off
      echo 'module ${bundle.module} +p' > $control || exit 3
      use; [ "$(dmesg | grep -c 'stitched in dummy')" -gt 0 ] && echo dummy
      [ "$(dmesg | grep -c 'stitched in vmlinux')" -gt 0 ] && echo vmlinux
      echo "listed $(grep -c '\\[${bundle.module}\\].*=p ' $control)"
      echo 0 > ${state}/enabled && until_true gone && until_true free || exit 4
      echo "gone $(grep -c '\\[${bundle.module}\\]' $control)"
    `,
    timeoutSeconds: 300,
  });
  assert.equal(Buffer.from(output).toString(), 'off 0 0\ndummy\nvmlinux\nlisted 2\ngone 0\n', log);
  assert.equal(status, 0, log);
  assert.deepEqual(splats, []);
});
