/** A module that is patched, on a kernel that cannot load it again beside the livepatch: reload-target does, also when killed. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { readAnswers } from '@kstitch/testkit/guest-root';
import { testKit } from '@kstitch/testkit/kit';
import { buildForGuest, runWithKstitch } from '@kstitch/testkit/manager-guest';

const folder = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A program of busybox that does nothing while `/hold-NAME` is there, so that who called it can be killed meanwhile. */
const held = (name: string) => `#!/bin/sh
[ "$1" = -D ] || while [ -e /hold-${name} ]; do /bin/busybox usleep 20000; done
exec /bin/busybox ${name} "$@"
`;

test('a patched module is loaded again, whenever that is killed', async () => {
  // It refers to data of the module, whose address the kernel puts into the livepatch, and on 6.1 never takes out again.
  const { names, files } = await buildForGuest(folder, {
    loop: await editPatch(
      'drivers/block/loop.c',
      '\treturn sysfs_emit(buf, "%llu\\n", (unsigned long long)lo->lo_offset);\n',
      '\treturn sysfs_emit(buf, "%llu of %d\\n", (unsigned long long)lo->lo_offset, max_part);\n',
    ),
  });
  const { loop } = names;
  const { release, modulesDirectory } = await testKit();
  const modules = `/lib/modules/${release}`;
  const path = 'kernel/drivers/block/loop.ko';
  const { status, output, splats, log } = await runWithKstitch(folder, {
    files: {
      ...files,
      [`${modules}/${path}`]: readFileSync(join(modulesDirectory, path)),
      [`${modules}/modules.dep`]: Buffer.from(`${path}:\n`),
      '/held/rmmod': Buffer.from(held('rmmod')),
      '/held/insmod': Buffer.from(held('insmod')),
      '/held/modprobe': Buffer.from(held('modprobe')),
    },
    script: `
      chmod 755 /root/k/held/*
      mv /root/k/held/* /root/k/bin
      chroot /root/k /bin/modprobe loop
      answer load load /${loop}.ko

      # What the kernel itself does.
      rmmod loop
      insmod /root/k${modules}/${path}; printf '@answer plain %s\\n' $?
      answer unload unload ${loop} --grace 0
      chroot /root/k /bin/modprobe loop
      answer again load ${loop}

      truncate -s 1M /root/k/file
      losetup /dev/loop0 /root/k/file
      answer busy reload-target loop --yes
      printf '@answer patched 0\\n'; cat /sys/block/loop0/loop/offset
      losetup -d /dev/loop0
      answer declined reload-target loop
      answer whole reload-target loop --yes --grace 1

      # kill_when TOOL CONDITION: the tool is held, and both are killed when it runs and the condition is true.
      journal=/root/k/var/lib/kstitch/journal
      kill_when() {
        : > /root/k/hold-$1
        kstitch reload-target loop --yes --grace 1 > /dev/null 2>&1 &
        until eval "$2" && pidof $1 > /dev/null; do usleep 20000; done
        # The tool would go on by itself.
        kill -9 $(pidof node) $(pidof $1)
        wait
        rm /root/k/hold-$1
      }
      said() { tail -n 1 $journal | grep -q "$1"; }
      kill_when rmmod 'said disabled'
      answer disabled status
      kill_when modprobe 'said "target removed"'
      answer removed status
      # insmod of the livepatch is held: by then the module is loaded, and the livepatch's own is gone.
      kill_when insmod 'said "target loaded" && ! grep -q "^${loop} " /proc/modules'
      answer loaded status
      answer goes_on reload-target loop --yes --grace 1
      answer end status
      losetup /dev/loop0 /root/k/file
      printf '@answer patched_again 0\\n'; cat /sys/block/loop0/loop/offset
    `,
    timeoutSeconds: 1800,
  });
  assert.equal(status, 0, log);
  assert.deepEqual(splats, []);
  const { answer, lines, statusOf } = readAnswers(output, log);

  assert.equal(answer('load').json.attestation.verdict, 'attested');
  assert.notEqual(statusOf('plain'), 0);
  assert.match(log, /refusing to load module 'loop'/);
  assert.equal(answer('unload').json.result, 'removed');
  assert.equal(answer('again').json.attestation.verdict, 'attested');

  const busy = answer('busy');
  assert.deepEqual([busy.status, busy.json.error.code], [4, 'reload-module-busy']);
  assert.deepEqual(lines('patched'), ['0 of 0']);
  const declined = answer('declined');
  assert.deepEqual([declined.status, declined.json.error.code], [1, 'reload-declined']);
  assert.match(declined.json.error.notes[0], /\(loop\.patch\) is not in force, for 61 s at least$/);
  const whole = answer('whole');
  assert.deepEqual([whole.status, whole.json.attestation.verdict], [0, 'attested']);
  assert.ok(whole.json.inactiveSeconds > 1);

  for (const [name, missing] of [
    ['disabled', false],
    ['removed', true],
    ['loaded', false],
  ] as const) {
    const { status: health, json } = answer(name);
    assert.deepEqual([name, health, json.health], [name, 11, 'fix withdrawn']);
    assert.deepEqual(
      [json.unfinishedReload.withdrawn, json.unfinishedReload.targetMissing],
      [true, missing],
      name,
    );
  }
  const { json } = answer('goes_on');
  assert.deepEqual([answer('goes_on').status, json.attestation?.verdict], [0, 'attested']);
  assert.ok(json.inactiveSeconds > whole.json.inactiveSeconds, 'from when the first run began');
  assert.deepEqual([answer('end').status, answer('end').json.health], [0, 'well']);
  assert.deepEqual(lines('patched_again'), ['0 of 0']);
});
