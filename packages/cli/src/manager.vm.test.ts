/** kstitch itself in a virtual machine with the stock kernel: load, have what blocks named and the load taken back, unload. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { readAnswers } from '@kstitch/testkit/guest-root';
import { buildForGuest, runWithKstitch } from '@kstitch/testkit/manager-guest';
import { blockerPatches } from '@kstitch/testkit/manager-patches';

const folder = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('a livepatch is loaded and attested, one that is blocked is taken back, and one is unloaded', async () => {
  const { ext4, pipe } = await blockerPatches();
  // A function of three names; the kernel shows another one of them than the livepatch says.
  const getpid = await editPatch(
    'kernel/sys.c',
    'SYSCALL_DEFINE0(getpid)\n{\n',
    'SYSCALL_DEFINE0(getpid)\n{\n\tif (unlikely(task_tgid_vnr(current) < 0))\n\t\treturn -ESRCH;\n',
  );
  const { names, files } = await buildForGuest(folder, { ext4, pipe, getpid });
  const { status, output, splats, log } = await runWithKstitch(folder, {
    files,
    script: `
      answer load load /${names.ext4}.ko
      # Whoever waits for a pipe sleeps in the function that is to be replaced. The kernel would wake it after 15 s.
      sleep 10000 | cat > /dev/null &
      answer blocked load /${names.pipe}.ko --drop ${names.ext4} --timeout 3
      answer unload unload ${names.ext4} --grace 1
      printf '@answer journal 0\\n'
      cat /root/k/var/lib/kstitch/journal
      answer several load /${names.getpid}.ko
    `,
    timeoutSeconds: 400,
  });
  assert.equal(status, 0, log);
  assert.deepEqual(splats, []);
  const { answer, lines } = readAnswers(output, log);

  const load = answer('load');
  assert.equal(load.status, 0, JSON.stringify(load.json));
  assert.equal(load.json.result, 'loaded');
  assert.equal(load.json.attestation.verdict, 'attested');

  const blocked = answer('blocked');
  assert.deepEqual([blocked.status, blocked.json.error.code], [5, 'load-timed-out']);
  assert.match(blocked.json.error.message, /was reversed$/);
  assert.match(blocked.json.error.notes.join('\n'), /cat \(process \d+\) in pipe_read\(\)/);

  const unload = answer('unload');
  assert.deepEqual([unload.status, unload.json.result], [0, 'removed']);
  assert.deepEqual(
    lines('journal')
      .map(line => JSON.parse(line))
      .map(({ action, phase, result = '' }) => `${action} ${phase} ${result}`.trim()),
    [
      'load begin',
      'load step inserted',
      'load end attested',
      'load begin',
      'load step inserted',
      'load end reversed',
      'unload begin',
      'unload step disabled',
      'unload end removed',
    ],
  );

  const { json } = answer('several');
  assert.equal(json.attestation?.verdict, 'attested', JSON.stringify(json));
  const [{ name: patched }] = json.attestation.functions;
  assert.match(patched, /^__(?:x64|ia32)_sys_getpid$/);
});
