import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { inspectLivepatch } from '@kstitch/livepatch/inspect';
import { silentContext } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { testKit, testRelease } from '@kstitch/testkit/kit';
import { buildLivepatch } from './build-livepatch.ts';
import { kernelDelta } from './delta.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-build-test-'));
after(() => rm(work, { recursive: true, force: true }));
await testKit();

async function build(patch: string, folder: string, signal?: AbortSignal) {
  const outputDirectory = join(work, folder);
  const patches = [{ name: `${folder}.patch`, bytes: Buffer.from(patch, 'latin1') }];
  return await buildLivepatch(silentContext(signal), {
    patches,
    release: testRelease,
    name: 'test',
    outputDirectory,
  });
}

/** @returns the code that the build ended with; the output folder must not have come into being */
async function refusalOf(patch: string, folder: string): Promise<string> {
  const error = await build(patch, folder).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(
    error instanceof KstitchError,
    `the build of ${folder} did not fail with a KstitchError: ${String(error)}`,
  );
  await assert.rejects(readdir(join(work, folder)), { code: 'ENOENT' });
  return error.code;
}

test('buildLivepatch() makes the ext4 fix of Debian 6.1.192-2 for the stock 6.1.192-1', async () => {
  const patch = await kernelDelta(silentContext(), '6.1.192-1', '6.1.192-2', ['fs/ext4/mballoc.c']);
  const first = await build(patch, 'first');

  const [vmlinux] = first.bundle.objects;
  assert.deepEqual(
    vmlinux?.functions.map(f => f.name),
    ['ext4_mb_init_group', 'ext4_mb_load_buddy_gfp'],
  );
  // Same-named objects of other units make the number matter: the once-flags and rate limits are copies.
  assert.deepEqual(first.bundle.references.map(r => r.name).sort(), [
    'ext4_get_group_info',
    'ext4_mb_init_cache',
  ]);
  assert.equal(first.bundle.runPre.functions, 72);
  assert.deepEqual(first.bundle.unload, { verdict: 'safe', reasons: [] });

  const module = await readFile(first.modulePath);
  assert.equal(createHash('sha256').update(module).digest('hex'), first.bundle.sha256);
  const report = inspectLivepatch(module, 'module');
  assert.equal(report.release, testRelease);
  assert.deepEqual(
    report.patch?.objects.flatMap(object => object.functions.map(f => f.name)),
    ['ext4_mb_init_group', 'ext4_mb_load_buddy_gfp'],
  );

  const second = await build(patch, 'first.again'.replace('.again', ''));
  assert.equal(
    Buffer.compare(await readFile(second.modulePath), module),
    0,
    'the same inputs give the same module',
  );
  assert.equal(second.modulePath, first.modulePath);
});

test('buildLivepatch() patches a module, its symbols gated by it', async () => {
  const patch = await editPatch(
    'drivers/net/dummy.c',
    '\telse\n\t\tnetif_carrier_off(dev);\n',
    '\telse if (numdummies >= 0)\n\t\tnetif_carrier_off(dev);\n',
  );
  const { bundle } = await build(patch, 'module');
  assert.deepEqual(
    bundle.objects.map(object => [object.name, object.functions.map(f => f.name)]),
    [['dummy', ['dummy_change_carrier']]],
  );
  assert.deepEqual(
    bundle.references.map(({ object, name, gate }) => ({ object, name, gate })),
    [{ object: 'dummy', name: 'numdummies', gate: 'dummy' }],
  );
  assert.equal(bundle.reload.length, 1);
});

test("buildLivepatch() silences a module's own tracepoint and refuses its own static key", async () => {
  const traced = await editPatch(
    'fs/btrfs/transaction.c',
    '\tinterval = ktime_get_ns() - start_time;\n',
    '\tinterval = ktime_get_ns() - start_time + 1;\n',
  );
  const { bundle } = await build(traced, 'tracepoint');
  assert.ok(
    bundle.cautions.some(text => text.startsWith("tracepoint 'btrfs_transaction_commit' stays silent")),
    'tracepoint-inert',
  );
  const keyed = await editPatch(
    'net/netfilter/nf_tables_core.c',
    '\tif (static_branch_unlikely(&nft_counters_enabled))\n\t\tnft_update_chain_stats(basechain, pkt);\n',
    '\tif (static_branch_unlikely(&nft_counters_enabled) && pkt)\n\t\tnft_update_chain_stats(basechain, pkt);\n',
  );
  assert.equal(await refusalOf(keyed, 'static-key'), 'module-static-key');
});

test('buildLivepatch() finds no difference in a comment that shifts every line below it', async () => {
  const patch = await editPatch(
    'fs/ext4/mballoc.c',
    '#include "mballoc.h"\n',
    '/* one\n * two\n */\n#include "mballoc.h"\n',
  );
  assert.equal(await refusalOf(patch, 'comment'), 'no-functional-difference');
});

test('a strong function that is taken out before a weak one of another unit is refused', async () => {
  // fs/proc/meminfo.c has a weak one that does nothing.
  const patch = await editPatch(
    'arch/x86/mm/pat/set_memory.c',
    'void arch_report_meminfo(struct seq_file *m)\n',
    'static void __maybe_unused report_nothing(struct seq_file *m)\n',
  );
  const error = await build(patch, 'weak').catch((reason: unknown) => reason);
  assert.ok(error instanceof Refusal);
  assert.deepEqual(
    error.diagnostics.map(({ code, place }) => [code, place.symbol]),
    [['symbol-moved', 'arch_report_meminfo']],
  );
});

test('buildLivepatch() refuses a change of init code', async () => {
  const line = '\text4_free_data_cachep = KMEM_CACHE(ext4_free_data,\n\t\t\t\t\t   SLAB_RECLAIM_ACCOUNT);\n';
  const patch = await editPatch('fs/ext4/mballoc.c', line, line.replace('SLAB_RECLAIM_ACCOUNT', '0'));
  assert.equal(await refusalOf(patch, 'init'), 'init-changed');
});

test('buildLivepatch() refuses a change of a table that the kernel holds pointers to', async () => {
  const line = '\t.ndo_validate_addr\t= eth_validate_addr,\n';
  assert.equal(await refusalOf(await editPatch('drivers/net/dummy.c', line, '\n'), 'data'), 'data-changed');
});

test('buildLivepatch() refuses a function without an ftrace site', async () => {
  const patch = await editPatch(
    'kernel/trace/trace_clock.c',
    '\tclock = sched_clock();\n',
    '\tclock = sched_clock() + 1;\n',
  );
  assert.equal(await refusalOf(patch, 'notrace'), 'no-ftrace-site');
});

test('buildLivepatch() says what the compiler said and leaves nothing behind', async () => {
  const patch = await editPatch(
    'drivers/net/dummy.c',
    '\tskb_tx_timestamp(skb);\n',
    '\tskb_tx_timestamp(skb, nonsense);\n',
  );
  assert.equal(await refusalOf(patch, 'compile'), 'compile-error');
});

test('buildLivepatch() stops when it is interrupted and leaves nothing behind', async () => {
  const patch = await editPatch('drivers/net/dummy.c', '\tskb_tx_timestamp(skb);\n', '\n');
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 300);
  await assert.rejects(build(patch, 'interrupted', controller.signal), { code: 'interrupted' });
  await assert.rejects(readdir(join(work, 'interrupted')), { code: 'ENOENT' });
});
