/** Boots of one machine, its disk kept: a livepatch that takes it down is left out by the next boot. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { KstitchError } from '@kstitch/report/error';
import { readAnswers } from '@kstitch/testkit/guest-root';
import { buildForGuest, runWithKstitch } from '@kstitch/testkit/manager-guest';
import { deadlyPatch } from '@kstitch/testkit/manager-patches';

const folder = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('after a crash the next boot leaves the livepatch out, until it is armed again; kstitch=off keeps it out', async () => {
  const { names, files } = await buildForGuest(folder, { deadly: await deadlyPatch() });
  const name = names.deadly;
  const machine = { files, keep: true, timeoutSeconds: 1800 };

  const crash = await runWithKstitch(folder, {
    ...machine,
    script: `
      kstitch install /${name}.ko > /dev/null || exit 98
      kstitch boot > /dev/console 2>&1 &
      until [ "$(cat /sys/kernel/livepatch/${name}/transition 2>&-)" = 0 ]; do usleep 100000; done
      while :; do cat /proc/version > /dev/console; usleep 500000; done
    `,
  }).catch((error: unknown) => error);
  assert.ok(crash instanceof KstitchError);
  assert.equal(crash.code, 'vm-script-failed');
  assert.match(crash.message, /crashed \(.*the trial's end/);

  const next = await runWithKstitch(folder, {
    ...machine,
    script: `
      answer left boot
      answer guarded status
      answer armed install ${name}
      mkdir -p /root/k/etc && printf '[boot]\\nsettled = 1\\n' > /root/k/etc/kstitch.toml
      answer settled boot
      answer well status
    `,
  });
  const { answer } = readAnswers(next.output, next.log);
  assert.deepEqual([answer('left').status, answer('left').json.error.code], [2, 'boot-guard-tripped']);
  const { status, json } = answer('guarded');
  assert.deepEqual([status, json.health, json.livepatches], [13, 'guard tripped', []]);
  assert.deepEqual([json.boot.guard.livepatch, json.boot.active], [name, false]);
  assert.equal(answer('armed').json.armed, true);
  assert.deepEqual([answer('settled').status, answer('settled').json.result], [0, 'settled']);
  assert.equal(answer('settled').json.load.attestation.verdict, 'attested');
  assert.deepEqual([answer('well').status, answer('well').json.boot.guard], [0, null]);

  const last = await runWithKstitch(folder, {
    ...machine,
    commandLine: ['kstitch=off'],
    script: 'answer off boot\nanswer status status',
  });
  const off = readAnswers(last.output, last.log);
  assert.deepEqual([off.answer('off').status, off.answer('off').json.result], [0, 'switched off']);
  const seen = off.answer('status');
  assert.deepEqual(
    [seen.status, seen.json.boot.switchedOff, seen.json.livepatches],
    [11, "the kernel argument 'kstitch=off'", []],
  );
});
