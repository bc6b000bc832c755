import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { testKit, testRelease } from '@kstitch/testkit/kit';
import { buildLivepatch } from './build-livepatch.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-identity-test-'));
after(() => rm(work, { recursive: true, force: true }));
await testKit();

async function carry(unit: string, leaveOut: readonly string[] = []) {
  const context = silentContext();
  const { bundle } = await buildLivepatch(context, {
    patches: [],
    identity: { units: [unit], leaveOut },
    release: testRelease,
    name: 'identity',
    outputDirectory: work,
  });
  const [identity] = bundle.identity;
  assert.ok(identity !== undefined);
  return { bundle, identity, context };
}

test('a unit with calls within .sched.text, sync_core() and a function that hands itself out is carried', async () => {
  const { bundle, identity } = await carry('kernel/sched/core.c', ['schedule']);
  assert.deepEqual(bundle.patches, []);
  const [vmlinux] = bundle.objects;
  const carried = new Map(vmlinux?.functions.map(({ name, why }) => [name, why]));
  for (const name of ['__cond_resched', 'schedule_idle', 'finish_task_switch.isra.0', 'migration_cpu_stop'])
    assert.equal(carried.get(name), 'identity', name);
  assert.equal(identity.carried, carried.size);
  assert.deepEqual(
    identity.leftOut.filter(({ name }) => ['schedule', '__schedule', 'sched_init'].includes(name)),
    [
      { name: '__schedule', why: 'no-ftrace-site' },
      { name: 'schedule', why: 'not-wanted' },
      { name: 'sched_init', why: 'init-code' },
    ].toSorted(
      (a, b) =>
        identity.leftOut.findIndex(f => f.name === a.name) -
        identity.leftOut.findIndex(f => f.name === b.name),
    ),
  );
  const names = bundle.references.map(({ name }) => name);
  assert.ok(names.includes('__schedule') && names.includes('migration_cpu_stop'));
});

test('a function that would be refused is left out with a note, the rest is carried', async () => {
  const { identity, context } = await carry('net/netfilter/nf_tables_core.c');
  assert.deepEqual(
    identity.leftOut.filter(({ why }) => why === 'module-static-key'),
    [{ name: 'nft_do_chain', why: 'module-static-key' }],
  );
  assert.ok(identity.carried > 3);
  assert.ok(
    context.diagnostics.some(
      ({ code, text }) => code === 'identity-left-out' && text.endsWith('module-static-key'),
    ),
  );
});

test('what is no unit of C, and a function that is not there, are said to be so', async () => {
  await assert.rejects(carry('kernel/sched/rt.c'), { code: 'identity-not-a-unit' });
  await assert.rejects(carry('arch/x86/entry/entry_64.S'), { code: 'identity-not-a-unit' });
  await assert.rejects(carry('drivers/net/dummy.c', ['schedul']), { code: 'usage' });
  await assert.rejects(carry('init/do_mounts_initrd.c'), { code: 'identity-empty' });
});
