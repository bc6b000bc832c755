import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { readelfText } from '@kstitch/testkit/compile';
import { testKit } from '@kstitch/testkit/kit';
import { findAffectedUnits } from '../patch/affected-units.ts';
import { applyPatches } from '../patch/apply-patch.ts';
import { loadCompileDatabase } from './compile-database.ts';
import { compileThrice } from './compile-thrice.ts';

const { kit } = await testKit();
const root = await mkdtemp(join(tmpdir(), 'kstitch-thrice-'));
after(() => rm(root, { recursive: true }));
const toolchain = { program: 'gcc-12', compiler: 'of this test', linker: '' };

/** A patch that puts lines in front of the first line matching `at`. */
async function insertion(path: string, at: RegExp, lines: readonly string[]): Promise<string> {
  const text = await readFile(join(kit.paths.tree, path), 'latin1');
  const source = text.split('\n');
  const index = source.findIndex(line => at.test(line));
  assert.notEqual(index, -1);
  const before = source.slice(index - 3, index + 3);
  const hunk = [
    ...before.slice(0, 3).map(l => ` ${l}`),
    ...lines.map(l => `+${l}`),
    ...before.slice(3).map(l => ` ${l}`),
  ];
  return `--- a/${path}\n+++ b/${path}\n@@ -${index - 2},6 +${index - 2},${6 + lines.length} @@\n${hunk.join('\n')}\n`;
}

async function build(patch: string) {
  const context = silentContext();
  const applied = await applyPatches(context, kit, [
    { name: 'test.patch', bytes: Buffer.from(patch, 'latin1') },
  ]);
  const units = await findAffectedUnits(context, kit, await loadCompileDatabase(kit), applied);
  const directory = await mkdtemp(join(root, 'work-'));
  return { units, objects: await compileThrice(context, kit, toolchain, applied, units, directory) };
}

test('the record of the kit knows the units of the flavour', async () => {
  const database = await loadCompileDatabase(kit);
  assert.ok(database.units().length > 4000);
  assert.equal(database.unit('fs/ext4/mballoc.c')?.owner, 'vmlinux');
  assert.equal(database.unit('arch/x86/lib/delay.c')?.owner, 'vmlinux');
  assert.equal(database.unit('arch/x86/pci/common.c')?.owner, 'vmlinux');
  assert.deepEqual(database.unit('virt/kvm/kvm_main.c')?.owner, ['kvm']);
  assert.equal(database.unit('drivers/gpu/drm/i915/i915_gem.c'), undefined);
});

test('comments and blank lines change not one byte of a unit full of WARN_ON() and BUG_ON()', async () => {
  const patch = await insertion('fs/ext4/mballoc.c', /^static int ext4_mb_init_cache\(/, [
    '/*',
    ' * New.',
    ' */',
    '',
  ]);
  const { units, objects } = await build(patch);
  assert.deepEqual(
    units.map(unit => unit.source),
    ['fs/ext4/mballoc.c'],
  );
  assert.deepEqual(objects[0]?.after, objects[0]?.before);
  assert.doesNotMatch(
    readelfText(objects[0]?.asShipped ?? new Uint8Array(), ['-SW']),
    /\.text\.ext4_mb_init_cache/,
  );
});

test('a changed source reaches a unit that is named by way of another folder', async () => {
  const patch = await insertion(
    'virt/kvm/binary_stats.c',
    /^\s*len = sizeof\(\*desc\)|^ssize_t kvm_stats_read/,
    ['int kstitch_marker(void);', 'int kstitch_marker(void) { return 42; }'],
  );
  const { units, objects } = await build(patch);
  assert.match(units[0]?.spelling ?? '', /^arch\/x86\/kvm\/\.\.\//);
  assert.match(readelfText(objects[0]?.after ?? new Uint8Array(), ['-sW']), /kstitch_marker/);
  assert.doesNotMatch(readelfText(objects[0]?.before ?? new Uint8Array(), ['-sW']), /kstitch_marker/);
});

test('a changed source reaches the unit that includes it', async () => {
  const patch = await insertion('kernel/sched/cputime.c', /^void account_user_time\(/, [
    'int kstitch_marker(void);',
    'int kstitch_marker(void) { return 42; }',
  ]);
  const { units, objects } = await build(patch);
  assert.deepEqual(
    units.map(unit => unit.source),
    ['kernel/sched/build_utility.c', 'kernel/sched/build_policy.c'].filter(s =>
      units.some(u => u.source === s),
    ),
  );
  assert.match(readelfText(objects[0]?.after ?? new Uint8Array(), ['-sW']), /kstitch_marker/);
});

test('a patch that does not compile is refused with the place in the patched file', async () => {
  const patch = await insertion('fs/ext4/mballoc.c', /^static int ext4_mb_init_cache\(/, [
    'int f(void) { return missing; }',
  ]);
  await assert.rejects(build(patch), { code: 'compile-error', message: /^fs\/ext4\/mballoc\.c:\d+: / });
});
