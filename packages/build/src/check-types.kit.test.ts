/** Patches that change a type, built for a real kernel. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { testKit, testRelease } from '@kstitch/testkit/kit';
import { buildLivepatch } from './build-livepatch.ts';
import { reviewPatch } from './review-patch.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-types-test-'));
after(() => rm(work, { recursive: true, force: true }));
await testKit();

/** A member more at the front of a struct that only fs/mbcache.c knows. */
const patch = await editPatch(
  'fs/mbcache.c',
  '\tint\t\t\tc_bucket_bits;\n',
  '\tunsigned long\t\tc_new[2];\n\tint\t\t\tc_bucket_bits;\n',
);

async function build(acceptLayout: readonly string[]) {
  return await buildLivepatch(silentContext(), {
    patches: [{ name: 'a.patch', bytes: Buffer.from(patch, 'latin1') }],
    release: testRelease,
    name: 'test',
    outputDirectory: work,
    acceptLayout,
  });
}

test('buildLivepatch() refuses another layout of a struct, naming struct and member', async () => {
  const error: unknown = await build([]).catch((reason: unknown) => reason);
  assert.ok(error instanceof Refusal, String(error));
  assert.deepEqual(
    error.diagnostics
      .filter(({ code }) => code === 'struct-layout-changed')
      .map(({ text, place }) => [place.unit, text]),
    [
      [
        'fs/mbcache.c',
        "the patch changes the layout of 'struct mb_cache': member 'c_bucket_bits' from byte 8 to byte 24",
      ],
    ],
  );
});

test('buildLivepatch() builds it when the author answers for the struct, and says so in the bundle', async () => {
  const { bundle } = await build(['struct mb_cache']);
  assert.deepEqual(
    bundle.cautions.filter(text => text.startsWith('accepted: ')),
    [
      "accepted: the patch changes the layout of 'struct mb_cache': member 'c_bucket_bits' from byte 8 to byte 24",
    ],
  );
});

test('what is built on it need not be told again, and a review shows it', async () => {
  const { bundle } = await build(['mb_cache']);
  const change =
    "the patch changes the layout of 'struct mb_cache': member 'c_bucket_bits' from byte 8 to byte 24";
  assert.deepEqual(
    bundle.acceptedLayouts.map(({ name, change: words }) => [name, words.split('; ')[0]]),
    [['mb_cache', change]],
  );
  const other = await editPatch(
    'fs/mbcache.c',
    '\treturn cache->c_entry_count;\n',
    '\tbarrier();\n\treturn cache->c_entry_count;\n',
  );
  const review = await reviewPatch(silentContext(), {
    patches: [{ name: 'b.patch', bytes: Buffer.from(other, 'latin1') }],
    on: [bundle],
    release: testRelease,
    name: 'test',
  });
  assert.equal(review.verdict, 'buildable');
  assert.deepEqual(
    review.types.map(({ text, units, verdict }) => [text, units, verdict]),
    [[change, ['fs/mbcache.c'], 'accepted']],
  );
});

test('buildLivepatch() wants no acceptance of what did not change', async () => {
  await assert.rejects(build(['mb_cache', 'mb_cache_entry']), { code: 'layout-not-changed' });
});
