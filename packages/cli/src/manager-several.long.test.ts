/** Several livepatches one after the other: who replaces whom, what would be lost, and what cannot be loaded at all. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readAnswers } from '@kstitch/testkit/guest-root';
import { buildForGuest, runWithKstitch } from '@kstitch/testkit/manager-guest';
import { blockerPatches } from '@kstitch/testkit/manager-patches';
import { buildPostHandler } from '@kstitch/testkit/test-module';

const folder = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const example = (name: string) =>
  readFileSync(join(import.meta.dirname, '../../../docs/examples', name), 'latin1');

test('a newer livepatch replaces, an older one is refused, a full disk keeps none in', async () => {
  const { ext4, pipe } = await blockerPatches();
  const { names, files } = await buildForGuest(folder, {
    pipe,
    ext4,
    both: [pipe, ext4],
    state1: example('system-state.patch'),
    state2: [example('system-state.patch'), example('system-state-next.patch')],
  });
  const bytes = (path: string) => files[path] ?? new Uint8Array();
  const record = JSON.parse(Buffer.from(bytes(`/${names.ext4}.json`)).toString('utf8'));
  const other = { ...record, kernel: { ...record.kernel, release: '6.1.0-54-cloud-amd64' } };
  const rebuilt = { ...record, kernel: { ...record.kernel, buildId: 'ab'.repeat(20) } };
  const { status, output, splats, log } = await runWithKstitch(folder, {
    files: {
      ...files,
      '/other.ko': bytes(`/${names.ext4}.ko`),
      '/other.json': Buffer.from(JSON.stringify(other)),
      '/rebuilt.ko': bytes(`/${names.ext4}.ko`),
      '/rebuilt.json': Buffer.from(JSON.stringify(rebuilt)),
      '/malformed.ko': bytes(`/${names.ext4}.ko`),
      '/malformed.json': bytes(`/${names.ext4}.json`).slice(0, 700),
      '/post_handler.ko': await buildPostHandler(join(folder, 'module')),
    },
    script: `
      for name in other rebuilt malformed; do answer $name load /$name.ko; done
      insmod /root/k/post_handler.ko symbol=ext4_mb_load_buddy_gfp || exit 1
      answer taken load /${names.ext4}.ko
      rmmod post_handler

      answer first load /${names.pipe}.ko
      answer newer load /${names.both}.ko
      answer list list
      answer drops load /${names.ext4}.ko
      answer dropped load /${names.ext4}.ko --drop ${names.both}

      dd if=/dev/zero of=/root/k/fill bs=1M 2> /dev/null
      dd if=/dev/zero of=/root/k/fill2 bs=512 2> /dev/null
      answer full_load load /${names.both}.ko
      answer full_unload unload ${names.ext4} --grace 0
      rm /root/k/fill /root/k/fill2

      answer state2 load /${names.state2}.ko
      answer state1 load /${names.state1}.ko --drop ${names.state2}
      answer end status
    `,
    timeoutSeconds: 1800,
  });
  assert.equal(status, 0, log);
  assert.deepEqual(splats, []);
  const { answer } = readAnswers(output, log);
  const refusal = (name: string) => [answer(name).status, answer(name).json.error?.code];
  assert.deepEqual(refusal('other'), [2, 'load-other-kernel']);
  assert.deepEqual(refusal('rebuilt'), [2, 'load-other-kernel']);
  assert.deepEqual(refusal('malformed'), [1, 'bundle-malformed']);
  assert.deepEqual(refusal('taken'), [2, 'load-function-taken']);
  assert.match(answer('taken').json.error.message, /kprobe/);

  assert.equal(answer('first').json.attestation.verdict, 'attested');
  assert.deepEqual([answer('newer').status, answer('newer').json.attestation.verdict], [0, 'attested']);
  assert.deepEqual(
    answer('list').json.livepatches.map(({ name, phase }: { name: string; phase: string }) => [name, phase]),
    [
      [names.pipe, 'disabled'],
      [names.both, 'active'],
    ],
  );
  assert.deepEqual(refusal('drops'), [2, 'load-drops-livepatch']);
  assert.match(answer('drops').json.error.message, /lacks its patch 'both\.patch'$/);
  assert.equal(answer('dropped').status, 0);

  assert.deepEqual(refusal('full_load'), [4, 'load-disk-low']);
  assert.deepEqual([answer('full_unload').status, answer('full_unload').json.result], [0, 'removed']);

  assert.equal(answer('state2').status, 0);
  assert.deepEqual(refusal('state1'), [2, 'load-state-older']);
  assert.equal(answer('end').json.health, 'well');
});
