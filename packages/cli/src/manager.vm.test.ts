/** kstitch itself in a virtual machine with the stock kernel: load, have what blocks named and the load taken back, unload. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { buildLivepatch } from '@kstitch/build/build-livepatch';
import { silentContext } from '@kstitch/report/context';
import { guestRootScript, makeGuestRoot, readAnswers } from '@kstitch/testkit/guest-root';
import { testKit, testRelease } from '@kstitch/testkit/kit';
import { blockerPatches } from '@kstitch/testkit/manager-patches';
import { bootOnce } from '@kstitch/vm/boot-once';

const folder = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const { kit } = await testKit();

test('a livepatch is loaded and attested, one that is blocked is taken back, and one is unloaded', async () => {
  const context = silentContext();
  const patches = await blockerPatches();
  const files: Record<string, Uint8Array> = {};
  const build = async (name: 'ext4' | 'pipe'): Promise<string> => {
    const { bundle, modulePath, bundlePath } = await buildLivepatch(context, {
      patches: [{ name: `${name}.patch`, bytes: Buffer.from(patches[name], 'latin1') }],
      release: testRelease,
      name,
      outputDirectory: folder,
    });
    files[`/${bundle.module}.ko`] = readFileSync(modulePath);
    files[`/${bundle.module}.json`] = readFileSync(bundlePath);
    return bundle.module;
  };
  const ext4 = await build('ext4');
  const pipe = await build('pipe');
  const image = join(folder, 'root.img');
  await makeGuestRoot(context, image, files);

  const { status, output, splats, log } = await bootOnce(context, {
    kernel: {
      release: kit.release,
      vmlinuzPath: kit.paths.vmlinuz,
      modulesDirectory: kit.paths.modulesDirectory,
    },
    disks: [{ path: image, writes: 'discard' }],
    script: `${guestRootScript}
      answer load load /${ext4}.ko
      # Whoever waits for a pipe sleeps in the function that is to be replaced. The kernel would wake it after 15 s.
      sleep 10000 | cat > /dev/null &
      answer blocked load /${pipe}.ko --drop ${ext4} --timeout 3
      answer unload unload ${ext4} --grace 1
      printf '@answer journal 0\\n'
      cat /root/k/var/lib/kstitch/journal
    `,
    timeoutSeconds: 400,
  });
  assert.equal(status, 0, log);
  assert.deepEqual(splats, []);
  const answers = readAnswers(output);
  const answer = (name: string) => {
    const found = answers.get(name) ?? assert.fail(`no answer to '${name}'\n${log}`);
    return { status: found.status, json: JSON.parse(found.json) };
  };

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
  const journal = answers.get('journal')?.json.trim().split('\n') ?? [];
  assert.deepEqual(
    journal
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
});
