import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { indexCompileDatabase } from '../compile/compile-database.ts';
import { findAffectedUnits } from './affected-units.ts';

const tree = await mkdtemp(join(tmpdir(), 'kstitch-affected-'));
after(() => rm(tree, { recursive: true }));
for (const [path, text] of [
  ['kernel/sched/build_policy.c', '#include "rt.c"\n'],
  ['kernel/sched/core.c', '// see rt.c\n'],
] as const) {
  await mkdir(dirname(join(tree, path)), { recursive: true });
  await writeFile(join(tree, path), text);
}
const kit = { release: '6.1.0-x', packageVersion: 'v', paths: { tree, units: '' } };
const database = indexCompileDatabase(
  [
    ['fs/b.o', 'fs/b.c'],
    ['fs/a.o', 'fs/a.c'],
    ['kernel/sched/build_policy.o', 'kernel/sched/build_policy.c'],
    ['kernel/sched/core.o', 'kernel/sched/core.c'],
    ['arch/x86/entry/entry_64.o', 'arch/x86/entry/entry_64.S'],
    ['arch/x86/entry/vdso/vgetcpu.o', 'arch/x86/entry/vdso/vgetcpu.c'],
    ['arch/x86/entry/vdso/vdso32/note.o', 'arch/x86/entry/vdso/vdso32/note.S'],
    ['lib/cmdline.o', 'lib/cmdline.c'],
    ['drivers/firmware/efi/libstub/lib-cmdline.o', 'lib/cmdline.c'],
  ]
    .map(([object, source]) => `${object}\t\tgcc-12 -D__KERNEL__ -c -o ${object} ${source}`)
    .join('\n'),
);

async function find(...paths: readonly string[]) {
  const context = silentContext();
  const files = paths.map(path => ({ path, before: 'a', after: 'b', blocks: [] }));
  const units = await findAffectedUnits(context, kit, database, { patches: [], files });
  return {
    sources: units.map(unit => unit.source),
    notes: context.diagnostics.map(d => `${d.code} ${d.text}`),
  };
}

async function codesOf(...paths: readonly string[]): Promise<readonly string[]> {
  const error: unknown = await find(...paths).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Refusal, String(error));
  return error.diagnostics.map(d => `${d.code} ${d.place.file}`);
}

test('findAffectedUnits() finds the units of changed sources, sorted', async () => {
  assert.deepEqual(await find('fs/b.c', 'fs/a.c'), { sources: ['fs/a.c', 'fs/b.c'], notes: [] });
});

test('findAffectedUnits() finds the unit that includes a changed source', async () => {
  assert.deepEqual((await find('kernel/sched/rt.c')).sources, ['kernel/sched/build_policy.c']);
});

test('findAffectedUnits() notes files that take no part', async () => {
  const { sources, notes } = await find(
    'fs/a.c',
    'Documentation/x.rst',
    'drivers/absent.c',
    'arch/arm64/mm/mmu.c',
    'arch/arm64/x.h',
  );
  assert.deepEqual(sources, ['fs/a.c']);
  assert.deepEqual(notes, [
    "patch-file-ignored 'Documentation/x.rst' is not compiled: documentation",
    "patch-file-ignored 'drivers/absent.c' is not compiled: this flavour leaves it out",
    "patch-file-ignored 'arch/arm64/mm/mmu.c' is not compiled: for the architecture arm64",
    "patch-file-ignored 'arch/arm64/x.h' is not compiled: for the architecture arm64",
  ]);
});

test('findAffectedUnits() refuses a patch of which nothing is built, and says why for each file', async () => {
  await assert.rejects(find('Documentation/x.rst', 'drivers/absent.c'), {
    code: 'patch-touches-nothing-built',
    notes: [
      "'Documentation/x.rst' is not compiled: documentation",
      "'drivers/absent.c' is not compiled: this flavour leaves it out",
    ],
  });
});

test('findAffectedUnits() refuses what no livepatch can carry, all at once', async () => {
  assert.deepEqual(
    await codesOf(
      'fs/a.c',
      'include/linux/fs.h',
      'arch/x86/entry/entry_64.S',
      'arch/x86/entry/vdso/vgetcpu.c',
      'arch/x86/entry/vdso/vdso32/note.S',
      'fs/Kconfig',
      'fs/Makefile',
    ),
    [
      'patch-assembly arch/x86/entry/entry_64.S',
      'patch-changes-build fs/Kconfig',
      'patch-changes-build fs/Makefile',
      'patch-header include/linux/fs.h',
      'patch-outside-kernel arch/x86/entry/vdso/vdso32/note.S',
      'patch-outside-kernel arch/x86/entry/vdso/vgetcpu.c',
    ],
  );
});

test('findAffectedUnits() refuses to take a unit out of the kernel', async () => {
  const files = [{ path: 'fs/a.c', before: 'a', after: undefined, blocks: [] }];
  await assert.rejects(findAffectedUnits(silentContext(), kit, database, { patches: [], files }), {
    code: 'patch-changes-build',
  });
});

test('findAffectedUnits() warns of a second copy that stays as it is', async () => {
  const { sources, notes } = await find('lib/cmdline.c');
  assert.deepEqual(sources, ['lib/cmdline.c']);
  assert.deepEqual(notes, ["patch-second-copy 'lib/cmdline.c' is also part of the EFI boot stub"]);
});
