import assert from 'node:assert/strict';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { compiler, missingCompiler, readelfText } from '@kstitch/testkit/compile';
import { thisMachine } from '../root/workshop.ts';
import { cachedCompile } from './cached-compile.ts';
import { compileAll, compileUnit, sectionFlags } from './compile-unit.ts';
import type { UnitCommand } from './unit-command.ts';

const skip = missingCompiler;
const root = await mkdtemp(join(tmpdir(), 'kstitch-compile-'));
after(() => rm(root, { recursive: true }));

const unit: UnitCommand = {
  source: 'a.c',
  spelling: 'a.c',
  object: 'a.o',
  compiler,
  args: ['-O2', '-Wall', '-g', '-gdwarf-4', '-fno-pic'],
  kind: 'c',
  owner: 'vmlinux',
};

async function folder(source: string): Promise<string> {
  const directory = await mkdtemp(join(root, 'tree-'));
  await writeFile(join(directory, 'a.c'), source);
  await writeFile(join(directory, 'a.h'), 'int f(int);\n');
  return directory;
}

const good = '#include "a.h"\nint f(int a) { return a + 1; }\nint g(int a) { return f(a) * 3; }\n';

test('compileUnit() compiles without debug information, with the flags added', { skip }, async () => {
  const cwd = await folder(good);
  const output = join(cwd, 'out.o');
  const bytes = await compileUnit(silentContext(), unit, {
    workshop: thisMachine,
    cwd,
    output,
    patched: false,
    extraFlags: sectionFlags,
  });
  const sections = readelfText(bytes, ['-SW']);
  assert.match(sections, / \.text\.f /);
  assert.doesNotMatch(sections, /\.debug_/);
  assert.deepEqual(bytes, await readFile(output));
});

test('compileUnit() makes the same bytes wherever they are written', { skip }, async () => {
  const [a, b] = [await folder(good), await folder(good)];
  const options = { workshop: thisMachine, patched: false, extraFlags: sectionFlags };
  const first = await compileUnit(silentContext(), unit, { ...options, cwd: a, output: join(a, 'x.o') });
  const second = await compileUnit(silentContext(), unit, { ...options, cwd: b, output: join(b, 'other.o') });
  assert.deepEqual(first, second);
});

test("compileUnit() refuses a patch that does not compile, with the compiler's words and the first error first", {
  skip,
}, async () => {
  const cwd = await folder(
    'int unused(void) { int u; return 0; }\nint f(void) { return missing; }\nint g(void) { return other; }\n',
  );
  const output = join(cwd, 'x.o');
  await assert.rejects(
    compileUnit(silentContext(), unit, { workshop: thisMachine, cwd, output, patched: true }),
    (error: unknown) => {
      assert.ok(error instanceof Refusal);
      assert.equal(error.code, 'compile-error');
      assert.match(error.message, /^a\.c:2: .missing. undeclared/);
      assert.deepEqual(error.diagnostics[0]?.place, { unit: 'a.c', file: 'a.c', line: 2 });
      assert.ok(error.diagnostics[0]?.notes.some(note => /^a\.c:3:.*error: .other. undeclared/.test(note)));
      assert.ok(!error.diagnostics[0]?.notes.some(note => note.includes('unused')));
      return true;
    },
  );
  await assert.rejects(access(output));
});

test('compileUnit() limits what it repeats of the compiler', { skip }, async () => {
  const lines = Array.from({ length: 200 }, (_, index) => `int f${index}(void) { return m${index}; }`).join(
    '\n',
  );
  const cwd = await folder(lines);
  await assert.rejects(
    compileUnit(silentContext(), unit, {
      workshop: thisMachine,
      cwd,
      output: join(cwd, 'x.o'),
      patched: true,
    }),
    (error: unknown) => {
      assert.ok(error instanceof Refusal);
      assert.ok((error.diagnostics[0]?.notes.length ?? 0) <= 21);
      assert.match(error.diagnostics[0]?.notes.at(-1) ?? '', /more lines$/);
      return true;
    },
  );
});

test('compileUnit() does not blame the patch for unpatched source', { skip }, async () => {
  const cwd = await folder('int f(void) { return missing; }\n');
  await assert.rejects(
    compileUnit(silentContext(), unit, {
      workshop: thisMachine,
      cwd,
      output: join(cwd, 'x.o'),
      patched: false,
    }),
    {
      code: 'compile-unpatched-failed',
    },
  );
});

test('compileAll() gives results in order and all findings at once', async () => {
  const job = (label: string, work: () => Promise<string>) => ({ label, work });
  const later = (text: string, delay: number) => () =>
    new Promise<string>(resolve => setTimeout(resolve, delay, text));
  assert.deepEqual(await compileAll(silentContext(), [job('a', later('a', 20)), job('b', later('b', 0))]), [
    'a',
    'b',
  ]);

  const failing = (name: string) =>
    job(name, async () => {
      const cwd = await folder(`int f(void) { return missing_${name}; }\n`);
      await compileUnit(
        silentContext(),
        { ...unit, source: name },
        { workshop: thisMachine, cwd, output: join(cwd, `${name}.o`), patched: true },
      );
      return name;
    });
  await assert.rejects(
    compileAll(silentContext(), [failing('one'), failing('two'), failing('three')]),
    (error: unknown) => {
      assert.ok(error instanceof Refusal);
      assert.deepEqual(
        error.diagnostics.map(d => d.place.unit),
        ['one', 'three', 'two'],
      );
      return true;
    },
  );
});

test('compileAll() stops at an interrupt', async () => {
  const controller = new AbortController();
  const jobs = Array.from({ length: 50 }, (_, index) => ({
    label: `job ${index}`,
    work: async () => {
      controller.abort();
      return await Promise.resolve(index);
    },
  }));
  await assert.rejects(compileAll(silentContext(controller.signal), jobs), { code: 'interrupted' });
});

test('cachedCompile() compiles once, and again for other flags or another compiler', { skip }, async t => {
  const saved = process.env['KSTITCH_CACHE'];
  process.env['KSTITCH_CACHE'] = join(root, 'cache');
  t.after(() => {
    if (saved === undefined) delete process.env['KSTITCH_CACHE'];
    else process.env['KSTITCH_CACHE'] = saved;
  });
  const tree = await folder(good);
  const kit = { release: 'r', packageVersion: 'v', workshop: thisMachine, paths: { tree, units: '' } };
  const toolchain = { program: compiler, compiler: 'c', linker: 'l' };
  const output = join(tree, 'x.o');
  const first = await cachedCompile(silentContext(), kit, unit, { output, toolchain });

  // The source is gone: only the cache can answer.
  await rm(join(tree, 'a.c'));
  assert.deepEqual(await cachedCompile(silentContext(), kit, unit, { output, toolchain }), first);
  const misses = [
    { kit, unit, options: { output, toolchain, extraFlags: sectionFlags } },
    { kit, unit, options: { output, toolchain: { ...toolchain, compiler: 'd' } } },
    { kit: { ...kit, packageVersion: 'w' }, unit, options: { output, toolchain } },
    { kit, unit: { ...unit, args: ['-O1'] }, options: { output, toolchain } },
  ];
  for (const { kit: otherKit, unit: otherUnit, options } of misses) {
    await assert.rejects(cachedCompile(silentContext(), otherKit, otherUnit, options), KstitchError);
  }
});
