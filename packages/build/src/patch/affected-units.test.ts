import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { type Diagnostic, Refusal } from '@kstitch/report/diagnostic';
import { compiler, missingCompiler } from '@kstitch/testkit/compile';
import { indexCompileDatabase } from '../compile/compile-database.ts';
import { thisMachine } from '../root/workshop.ts';
import { type AffectedUnitsOptions, findAffectedUnits } from './affected-units.ts';
import type { ChangedFile } from './apply-patch.ts';

const root = await mkdtemp(join(tmpdir(), 'kstitch-affected-'));
after(() => rm(root, { recursive: true }));
// The index of this tree is nobody else's.
process.env['KSTITCH_CACHE'] = join(root, 'cache');
const tree = join(root, 'tree');

const asm = '#define __ASM__\n#include "part.h"\n';
const sources: Readonly<Record<string, string>> = {
  'fs/a.c': '#include "a.h"\nint a(void) { return A; }\n',
  'fs/b.c': '#include "a.h"\n#ifdef NEVER\n#include "b.h"\n#endif\nint b;\n',
  'fs/c.c': '#include <linux/c.h>\nint c;\n',
  'fs/a.h': '#include <linux/deep.h>\n#define A 1\n',
  'fs/b.h': 'int in_b;\n',
  'fs/alone.h': 'int nobody;\n',
  'include/linux/c.h': 'int in_c;\n',
  'include/linux/deep.h': 'int deep;\n',
  'kernel/sched/build_policy.c': '#include "rt.c"\n',
  'kernel/sched/rt.c': 'int rt;\n',
  'kernel/sched/core.c': '// see rt.c\nint core;\n',
  'arch/x86/entry/entry_64.S': `${asm}mov $PART, %eax\n`,
  'arch/x86/entry/part.h': '#ifndef __ASM__\nint part(void);\n#endif\n#define PART 1\n#define VDSO 1\n',
  'arch/x86/entry/user.c': '#include "part.h"\nint user(void) { return PART; }\n',
  'arch/x86/entry/vdso/vgetcpu.c': '#include "../part.h"\nint vdso(void) { return VDSO; }\n',
  'arch/x86/entry/vdso/vdso32/note.S': '.byte 0\n',
  'lib/cmdline.c': 'int cmdline;\n',
  'include/linux/ids.h': '#define ID 1\n',
  'drivers/ids.c': '#include <linux/ids.h>\nint ids = ID;\n',
  'include/linux/offs.h': 'struct s { int a, b; };\n',
  'kernel/offs.c': '#include <linux/offs.h>\nint offs(struct s *s) { return s->b; }\n',
  'arch/x86/kernel/asm-offsets.c':
    '#include <linux/offs.h>\nvoid f(void) { asm volatile("\\n.ascii \\"->B %0\\"" : : "i" (__builtin_offsetof(struct s, b))); }\n',
  'arch/x86/kernel/.asm-offsets.s.cmd': [
    `cmd_arch/x86/kernel/asm-offsets.s := ${compiler} -Iinclude -S -o arch/x86/kernel/asm-offsets.s arch/x86/kernel/asm-offsets.c`,
    'source_arch/x86/kernel/asm-offsets.s := arch/x86/kernel/asm-offsets.c',
    'deps_arch/x86/kernel/asm-offsets.s := \\',
    '  include/linux/offs.h \\',
    '',
  ].join('\n'),
  'scripts/mod/.file2alias.o.cmd': [
    'cmd_scripts/mod/file2alias.o := gcc -c -o scripts/mod/file2alias.o scripts/mod/file2alias.c',
    'deps_scripts/mod/file2alias.o := \\',
    '  scripts/mod/../../include/linux/ids.h \\',
    '',
  ].join('\n'),
};
for (const [path, text] of Object.entries(sources)) {
  await mkdir(dirname(join(tree, path)), { recursive: true });
  await writeFile(join(tree, path), text);
}
const kit = { release: '6.1.0-x', packageVersion: 'v', workshop: thisMachine, paths: { tree, units: '' } };
const database = indexCompileDatabase(
  [
    ...Object.keys(sources)
      .filter(path => /\.[cS]$/.test(path) && !/(?:rt|asm-offsets)\.c$/.test(path))
      .map(path => [path.replace(/\.[cS]$/, '.o'), path]),
    ['drivers/firmware/efi/libstub/lib-cmdline.o', 'lib/cmdline.c'],
  ]
    .map(([object, source]) => {
      const flags = source?.endsWith('.S') ? '-D__KERNEL__ -D__ASSEMBLY__' : '-D__KERNEL__';
      return `${object}\t\t${compiler} ${flags} -Iinclude -c -o ${object} ${source}`;
    })
    .join('\n'),
);

/** One changed file: another text, or that one's name for one where nothing but its being changed matters. */
function changed(path: string, text?: string): ChangedFile {
  const before = sources[path] ?? (/\/new/.test(path) ? undefined : 'a\n');
  return { path, before, after: text ?? `${before ?? ''}/* more */\n`, blocks: [] };
}

async function find(files: readonly ChangedFile[], options: AffectedUnitsOptions = {}) {
  const context = silentContext();
  const units = await findAffectedUnits(context, kit, database, { patches: [], files }, options);
  return {
    sources: units.map(unit => unit.source),
    notes: context.diagnostics.map(d => `${d.code} ${d.text}`),
  };
}

const findPaths = async (...paths: readonly string[]) => await find(paths.map(path => changed(path)));

async function refusalsOf(
  files: readonly ChangedFile[],
  options: AffectedUnitsOptions = {},
): Promise<readonly Diagnostic[]> {
  const error: unknown = await find(files, options).then(
    found => found,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Refusal, JSON.stringify(error));
  return error.diagnostics;
}

test('findAffectedUnits() finds the units of changed sources, sorted', async () => {
  assert.deepEqual(await findPaths('fs/b.c', 'fs/a.c'), { sources: ['fs/a.c', 'fs/b.c'], notes: [] });
});

test('findAffectedUnits() finds the unit that includes a changed source', {
  skip: missingCompiler,
}, async () => {
  assert.deepEqual((await findPaths('kernel/sched/rt.c')).sources, ['kernel/sched/build_policy.c']);
});

test('findAffectedUnits() finds the units that include a changed header, by way of others too', {
  skip: missingCompiler,
}, async () => {
  assert.deepEqual((await findPaths('fs/a.h')).sources, ['fs/a.c', 'fs/b.c']);
  assert.deepEqual((await findPaths('include/linux/deep.h')).sources, ['fs/a.c', 'fs/b.c']);
  assert.deepEqual((await findPaths('include/linux/c.h', 'fs/a.c')).sources, ['fs/a.c', 'fs/c.c']);
});

test('findAffectedUnits() asks the compiler whether an include is taken', {
  skip: missingCompiler,
}, async () => {
  // fs/b.c names fs/b.h in a branch that is not taken.
  await assert.rejects(findPaths('fs/b.h'), { code: 'patch-touches-nothing-built' });
});

test('findAffectedUnits() notes files that take no part', async () => {
  const { sources: found, notes } = await findPaths(
    'fs/a.c',
    'Documentation/x.rst',
    'drivers/absent.c',
    'arch/arm64/mm/mmu.c',
    'arch/arm64/x.h',
    'fs/alone.h',
  );
  assert.deepEqual(found, ['fs/a.c']);
  assert.deepEqual(notes, [
    "patch-file-ignored 'Documentation/x.rst' is not compiled: documentation",
    "patch-file-ignored 'drivers/absent.c' is not compiled: this flavour leaves it out",
    "patch-file-ignored 'arch/arm64/mm/mmu.c' is not compiled: for the architecture arm64",
    "patch-file-ignored 'arch/arm64/x.h' is not compiled: for the architecture arm64",
    "patch-file-ignored 'fs/alone.h' is not compiled: no unit of this flavour includes it",
  ]);
});

test('findAffectedUnits() refuses a patch of which nothing is built, and says why for each file', async () => {
  await assert.rejects(findPaths('Documentation/x.rst', 'drivers/absent.c'), {
    code: 'patch-touches-nothing-built',
    notes: [
      "'Documentation/x.rst' is not compiled: documentation",
      "'drivers/absent.c' is not compiled: this flavour leaves it out",
    ],
  });
});

test('findAffectedUnits() refuses what no livepatch can carry, all at once', {
  skip: missingCompiler,
}, async () => {
  const paths = [
    'fs/a.c',
    'arch/x86/entry/entry_64.S',
    'arch/x86/entry/vdso/vgetcpu.c',
    'arch/x86/entry/vdso/vdso32/note.S',
    'include/linux/ids.h',
    'fs/Kconfig',
    'fs/Makefile',
  ];
  const found = await refusalsOf(paths.map(path => changed(path)));
  assert.deepEqual(
    found.map(d => `${d.code} ${d.place.file}`),
    [
      'header-reaches-generator include/linux/ids.h',
      'patch-assembly arch/x86/entry/entry_64.S',
      'patch-changes-build fs/Kconfig',
      'patch-changes-build fs/Makefile',
      'patch-outside-kernel arch/x86/entry/vdso/vdso32/note.S',
      'patch-outside-kernel arch/x86/entry/vdso/vgetcpu.c',
    ],
  );
});

test('findAffectedUnits() refuses a header that changes assembly, and takes one that assembly merely includes', {
  skip: missingCompiler,
}, async () => {
  const path = 'arch/x86/entry/part.h';
  const text = sources[path] ?? '';
  const [refusal, ...more] = await refusalsOf([changed(path, text.replace('PART 1', 'PART 2'))]);
  assert.deepEqual([refusal?.code, more], ['header-reaches-assembly', []]);
  assert.match(refusal?.text ?? '', /'arch\/x86\/entry\/part.h' changes 'arch\/x86\/entry\/entry_64.S'/);

  const harmless = await find([
    changed(path, `/* a\n * comment */\n${text.replace('part(void)', 'part(int)')}`),
  ]);
  assert.deepEqual(harmless.sources, ['arch/x86/entry/user.c']);
});

test('findAffectedUnits() refuses a header that changes the vDSO', { skip: missingCompiler }, async () => {
  const path = 'arch/x86/entry/part.h';
  const found = await refusalsOf([changed(path, sources[path]?.replace('VDSO 1', 'VDSO 2'))]);
  assert.deepEqual(
    found.map(d => d.code),
    ['header-reaches-image'],
  );
});

test('findAffectedUnits() refuses a header that changes the constants of asm-offsets, and no other', {
  skip: missingCompiler,
}, async () => {
  const path = 'include/linux/offs.h';
  const found = await refusalsOf([changed(path, 'struct s { long a; int b; };\n')]);
  assert.deepEqual(
    found.map(d => d.code),
    ['header-reaches-offsets'],
  );
  const grown = await find([changed(path, 'struct s { int a, b, c; };\n')]);
  assert.deepEqual(grown.sources, ['kernel/offs.c']);
});

test('findAffectedUnits() stops above the most units, with the list', { skip: missingCompiler }, async () => {
  const files = ['fs/a.h', 'include/linux/c.h'].map(path => changed(path));
  assert.equal((await find(files, { maxUnits: 3 })).sources.length, 3);
  const [refusal] = await refusalsOf(files, { maxUnits: 1 });
  assert.equal(refusal?.code, 'too-many-units');
  assert.equal(refusal.text, "more than 1 units include 'fs/a.h', 'include/linux/c.h'");
  assert.deepEqual(refusal.notes, ['fs/a.c', 'fs/b.c', 'the search ended here: at most 3 units include it']);
});

test('findAffectedUnits() stops before it asks the compiler where the text tells', async () => {
  const noCompiler = () => assert.fail('a program was run');
  const idle = { ...kit, workshop: { ...thisMachine, run: noCompiler } };
  const patch = { patches: [], files: [changed('arch/x86/entry/part.h')] };
  const error: unknown = await findAffectedUnits(silentContext(), idle, database, patch, {
    maxUnits: 0,
  }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Refusal, String(error));
  assert.deepEqual(
    error.diagnostics.map(({ code, notes }) => [code, notes]),
    [
      [
        'too-many-units',
        [
          'arch/x86/entry/user.c',
          '2 units of assembly and of other images may include it too, and no livepatch reaches those',
        ],
      ],
    ],
  );
});

test('findAffectedUnits() takes new files that a changed one includes, and no others', {
  skip: missingCompiler,
}, async () => {
  const including = changed('fs/a.c', '#include "a.h"\n#include "new.c"\n#include "newer.h"\nint a;\n');
  const files = [including, changed('fs/new.c'), changed('fs/newer.h')];
  assert.deepEqual((await find(files)).sources, ['fs/a.c']);
  const refused = await refusalsOf([changed('fs/a.c'), changed('fs/new.c'), changed('fs/newer.h')]);
  assert.deepEqual(
    refused.map(d => `${d.code} ${d.text}`),
    ["patch-changes-build 'fs/new.c' is new, and this flavour has no rule that builds it"],
  );
});

test('findAffectedUnits() refuses to take a unit out of the kernel', async () => {
  const files = [{ path: 'fs/a.c', before: 'a', after: undefined, blocks: [] }];
  await assert.rejects(findAffectedUnits(silentContext(), kit, database, { patches: [], files }), {
    code: 'patch-changes-build',
  });
});

test('findAffectedUnits() warns of a second copy that stays as it is', async () => {
  const { sources: found, notes } = await findPaths('lib/cmdline.c');
  assert.deepEqual(found, ['lib/cmdline.c']);
  assert.deepEqual(notes, ["patch-second-copy 'lib/cmdline.c' is also part of the EFI boot stub"]);
});
