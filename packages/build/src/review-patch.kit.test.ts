import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import type { Review } from '@kstitch/review/review';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { testKit, testRelease } from '@kstitch/testkit/kit';
import { kernelDelta } from './delta.ts';
import { reviewPatch } from './review-patch.ts';

await testKit();

async function reviewOf(patch: string): Promise<Review> {
  return await reviewPatch(silentContext(), {
    patches: [{ name: 'a.patch', bytes: Buffer.from(patch, 'latin1') }],
    release: testRelease,
    name: 'review',
  });
}

test('the ext4 fix: two functions, one of them for what is inlined into it', async () => {
  const review = await reviewOf(
    await kernelDelta(silentContext(), '6.1.192-1', '6.1.192-2', ['fs/ext4/mballoc.c']),
  );
  assert.equal(review.verdict, 'buildable');
  assert.deepEqual(
    review.functions.map(({ name, why, redirected }) => [name, redirected, why.map(({ kind }) => kind)]),
    [
      ['ext4_mb_init_group', true, ['inlined']],
      ['ext4_mb_load_buddy_gfp', true, ['source']],
    ],
  );
  const [group, load] = review.functions;
  const [inlined] = group?.why ?? [];
  assert.deepEqual(inlined?.kind === 'inlined' && inlined.chain, [
    'ext4_mb_get_buddy_page_lock',
    'ext4_mb_init_group',
  ]);
  assert.deepEqual(
    inlined?.kind === 'inlined' &&
      inlined.lines.filter(({ side }) => side === 'after').map(({ line }) => line),
    [1378, 1379, 1392, 1393],
  );
  // As `objdump -d vmlinux` counts them.
  assert.deepEqual(
    group?.uses?.callers.map(({ name }) => name),
    ['ext4_mb_load_buddy_gfp', 'ext4_mb_prefetch_fini', 'ext4_mb_regular_allocator', 'ext4_trim_fs'],
  );
  assert.equal(load?.uses?.callers.length, 14);
  assert.deepEqual(load?.reached, { gained: [], lost: [] });
  assert.deepEqual(review.livepatch?.unload, { verdict: 'safe', reasons: [] });
  assert.deepEqual(review.balance, []);
});

test('a refused patch is reviewed all the same; a module knows its own callers and who holds its addresses', async () => {
  const path = 'drivers/net/dummy.c';
  const from = '\t\tnetif_carrier_off(dev);\n';
  const to = '\t\tnetif_carrier_off(dev);\n\tdev_hold(dev);\n';
  const carrier = await editPatch(path, from, to);
  const built = await reviewOf(carrier);
  const [change] = built.functions;
  assert.equal(change?.object, 'dummy');
  assert.equal(change?.name, 'dummy_change_carrier');
  assert.deepEqual(
    change?.uses?.holders.map(({ object, name }) => `${object} ${name.replace(/\+.*/, '')}`),
    ['dummy dummy_netdev_ops'],
  );
  assert.match(built.balance[0]?.hint ?? '', /adds dev_hold\(\)/);

  const ops = await editPatch(path, '\t.ndo_init\t\t= dummy_dev_init,\n', '\t.ndo_init\t\t= NULL,\n');
  const refused = await reviewOf(ops);
  assert.equal(refused.verdict, 'refused');
  assert.ok(refused.findings.some(({ code }) => code === 'data-changed'));
  assert.equal(refused.livepatch, undefined);
  assert.deepEqual(refused.units.changed, [path]);
  assert.equal(refused.files[0]?.hunks.length, 1);
});

test('a comment makes no functional difference, and that is no error', async () => {
  const review = await reviewOf(
    await editPatch(
      'fs/proc/cmdline.c',
      '\tseq_puts(m, saved_command_line);\n',
      '\t/* all of it */\n\tseq_puts(m, saved_command_line);\n',
    ),
  );
  assert.equal(review.verdict, 'no difference');
  assert.deepEqual(review.functions, []);
});
