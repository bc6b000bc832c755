/** Patches to units that export something, built for a real kernel. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Context, silentContext } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { testKit, testRelease } from '@kstitch/testkit/kit';
import { buildLivepatch } from './build-livepatch.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-exports-test-'));
after(() => rm(work, { recursive: true, force: true }));
await testKit();

const signature =
  'void mb_cache_entry_touch(struct mb_cache *cache,\n\t\t\t  struct mb_cache_entry *entry)\n{\n';
const body = '\tset_bit(MBE_REFERENCED_B, &entry->e_flags);\n';

async function build(patches: readonly string[]): Promise<Context> {
  const context = silentContext();
  await buildLivepatch(context, {
    patches: patches.map((text, i) => ({ name: `${i}.patch`, bytes: Buffer.from(text, 'latin1') })),
    release: testRelease,
    name: 'test',
    outputDirectory: work,
  });
  return context;
}

const changedBody = await editPatch(
  'fs/mbcache.c',
  `${signature}${body}`,
  `${signature}\tif (cache)\n\t${body}`,
);

test('buildLivepatch() says nothing of exports whose code alone changes', async () => {
  const { diagnostics } = await build([changedBody]);
  assert.deepEqual(
    diagnostics.filter(({ code }) => code.startsWith('export-')),
    [],
  );
});

test('buildLivepatch() names the type that an include made known, as a caution', async () => {
  const include = '#include <linux/fs_stack.h>\n';
  const mode = '\tdest->i_mode = src->i_mode;\n';
  const { diagnostics } = await build([
    await editPatch('fs/stack.c', include, `${include}#include <linux/seq_file.h>\n`),
    await editPatch('fs/stack.c', mode, mode.replace(';', ' & 07777;')),
  ]);
  const found = diagnostics.filter(({ code }) => code === 'export-crc-changed');
  assert.ok(found.length > 0);
  assert.match(
    found[0]?.notes[0] ?? '',
    /^'(?:struct|union|enum) \w+' is known in one of the two only, by an include of '[\w./-]+\.h'$/,
  );
});

test('buildLivepatch() refuses another declaration of an exported function', async () => {
  const error: unknown = await build([
    await editPatch(
      'fs/mbcache.c',
      `${signature}${body}`,
      `${signature.replace('struct', 'const struct')}\tif (cache)\n\t${body}`,
    ),
    await editPatch(
      'include/linux/mbcache.h',
      'void mb_cache_entry_touch(struct mb_cache *cache,\n',
      'void mb_cache_entry_touch(const struct mb_cache *cache,\n',
    ),
  ]).catch((reason: unknown) => reason);
  assert.ok(error instanceof Refusal, String(error));
  const [found] = error.diagnostics.filter(({ code }) => code === 'export-type-changed');
  assert.equal(found?.text, "the patch changes the type of the exported 'mb_cache_entry_touch'");
  assert.match(found?.notes.join('\n') ?? '', /^before: void .*\nafter: void mb_cache_entry_touch \( const /);
});
