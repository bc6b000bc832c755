/** A change of a header that the kernel and three of its modules have inlined: one livepatch, in force in all four. */
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

test('a changed header is in force in the kernel and in every module that has it', async () => {
  const patch = await editPatch(
    'include/net/gro.h',
    '\tNAPI_GRO_CB(skb)->data_offset += len;\n',
    '\tNAPI_GRO_CB(skb)->data_offset = (NAPI_GRO_CB(skb)->data_offset + len) & 0x3fffffff;\n',
  );
  const { bundle, modulePath } = await buildLivepatch(silentContext(), {
    patches: [{ name: 'gro.patch', bytes: Buffer.from(patch, 'latin1') }],
    release: testRelease,
    name: 'gro',
    outputDirectory,
  });
  const objects = bundle.objects.map(object => object.name);
  assert.deepEqual(objects, ['vmlinux', 'fou', 'geneve', 'vxlan']);

  const state = `/sys/kernel/livepatch/${bundle.module}`;
  const { status, output, splats, log } = await bootOnce(silentContext(), {
    kernel: {
      release: kit.release,
      vmlinuzPath: kit.paths.vmlinuz,
      modulesDirectory: kit.paths.modulesDirectory,
    },
    modules: objects.slice(1),
    files: [{ path: '/livepatch.ko', bytes: readFileSync(modulePath) }],
    script: `
      until_true() { for i in $(seq 120); do "$@" && return; sleep 1; done; exit 1; }
      settled() { [ "$(cat ${state}/transition)" = 0 ]; }
      gone() { [ ! -d ${state} ]; }
      free() { rmmod ${bundle.module} 2>&-; }
      load() { insmod /livepatch.ko && until_true settled && for o in ${objects.join(' ')}; do echo $o $(cat ${state}/$o/patched); done; }
      load || exit 2
      ip link set lo up && ping -c 1 127.0.0.1 > /dev/null || exit 3
      echo 0 > ${state}/enabled && until_true gone && until_true free || exit 4
      load || exit 5
    `,
    timeoutSeconds: 300,
  });
  const inForce = objects.map(object => `${object} 1\n`).join('');
  assert.equal(Buffer.from(output).toString(), inForce + inForce, log);
  assert.equal(status, 0, log);
  assert.deepEqual(splats, []);
});
