import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { type Purpose, packageOfTool, type RequiredPackage, requiredPackages } from './debian-packages.ts';

const packages = join(import.meta.dirname, '../..');
const table: readonly RequiredPackage[] = requiredPackages;

/** Calls whose program is not written out, by file and expression: what it can be. */
const namedElsewhere: Readonly<Record<string, readonly string[]>> = {
  'build/src/compile/compile-unit.ts: unit.compiler': ['gcc-12'],
  'build/src/compile/compiler.ts: program': ['gcc-12'],
  // genksyms is built with the kit.
  'build/src/compile/export-types.ts: genksyms': [],
  'build/src/compile/export-types.ts: unit.compiler': ['gcc-12'],
  'build/src/compile/preprocess.ts: program': ['gcc-12'],
  'build/src/kit/apt.ts: command': ['apt-get', 'apt-cache', '/usr/lib/apt/apt-helper'],
  'build/src/root/workshop.ts: program': [],
  'host/src/compressed-file.ts: tool': ['xz', 'gzip', 'zstd'],
  'host/src/run.ts: command': [],
  'host/src/run.ts: program': ['setpriv'],
  'vm/src/prove.ts: await findQemu()': ['qemu-system-x86_64'],
};

/** Programs that are named in arguments and scripts of other calls, or read rather than called. */
const furtherPrograms: Readonly<Record<string, readonly string[]>> = {
  'build/src/root/workshop.ts': ['sh', 'mount', 'chroot', 'env'],
  'build/src/kit/unpack.ts': ['setpriv', 'dpkg-deb', 'tar', 'xz'],
  'host/src/lock.ts': ['sh', 'cat'],
  'host/src/system-packages.ts': ['env', 'apt-get'],
  'vm/src/qemu.ts': ['qemu-system-x86_64'],
  '../scripts/package/package.test.ts': ['lintian'],
  'vm/src/busybox.ts': ['busybox'],
};

/** What kbuild calls while a kit is made and a module is linked (seen with strace), besides Essential packages' programs. */
const kbuildPrograms = [
  ['gcc', 'gcc-12', 'ld', 'as', 'ar', 'nm', 'objcopy', 'objdump', 'readelf', 'strip', 'dpkg'],
  ['flex', 'bison', 'bc', 'perl', 'python3'],
].flat();

/** Not in the table, and why not. */
const notNeeded: Readonly<Record<string, string>> = {
  sudo: 'asked for nothing unless it is there',
  lz4: 'a test is skipped without it',
  script: 'a test is skipped without it',
};

/** The purposes for which a file's programs are called. */
function purposesOf(file: string): readonly Purpose[] {
  if (file === 'build/src/kit/apt.ts') return ['archive', 'kit', 'build'];
  if (/^build\/src\/(?:kit|root)\//.test(file) || file === 'build/src/delta.ts') return ['kit', 'build'];
  if (file.startsWith('build/')) return ['build'];
  if (file.startsWith('vm/')) return ['vm'];
  if (file === 'host/src/run.ts') return ['archive', 'kit', 'build', 'vm'];
  if (file === 'host/src/lock.ts') return ['archive', 'kit', 'build'];
  return [];
}

interface Call {
  readonly file: string;
  /** undefined: the program is not written out. */
  readonly program: string | undefined;
  readonly expression: string;
}

/** @returns the calls of programs in all sources, or in all tests and what only they use */
async function findCalls(which: 'sources' | 'tests'): Promise<readonly Call[]> {
  const calls: Call[] = [];
  for await (const file of glob('*/src/**/*.ts', { cwd: packages })) {
    const forTests = /\.test\.ts$|^testkit\/|\/(?:fixture|test)-[^/]*$/.test(file);
    if (forTests !== (which === 'tests')) continue;
    const text = readFileSync(join(packages, file), 'utf8');
    // Others have functions called `run`, too.
    if (
      !/from '(?:@kstitch\/host\/run|\.\/run\.ts|node:child_process|[\w./-]*(?:kernel-tree|workshop)\.ts)'/.test(
        text,
      ) &&
      file !== 'host/src/run.ts'
    )
      continue;
    // What tests run in a workshop is often not of this machine.
    const ways = /(?<!function |\.)\b(?:run|runProgram|runForBytes|spawn|spawnSync|execFile|execFileSync)/
      .source;
    const called = /\(\s*(?:'([^'\n]+)'|((?:await )?[\w.]+(?:\(\))?))(?=[,)\s])/.source;
    const pattern = new RegExp(`(?:${ways}${forTests ? '' : '|\\bworkshop\\.run'})${called}`, 'g');
    for (const [, program, expression = program ?? ''] of text.matchAll(pattern))
      calls.push({ file, program, expression });
  }
  return calls;
}

test('every program that kstitch calls is in the table, for the purposes it is called for', async () => {
  const calls = await findCalls('sources');
  const unnamed = calls.filter(call => call.program === undefined);
  assert.deepEqual(
    [...new Set(unnamed.map(({ file, expression }) => `${file}: ${expression}`))].sort(),
    Object.keys(namedElsewhere).sort(),
  );
  const all = [
    ...calls.flatMap(({ file, program }) => (program === undefined ? [] : [{ file, program }])),
    ...Object.entries(namedElsewhere).flatMap(([place, programs]) =>
      programs.map(program => ({ file: place.split(': ')[0]!, program })),
    ),
    ...Object.entries(furtherPrograms).flatMap(([file, programs]) =>
      programs.map(program => ({ file, program })),
    ),
  ];
  assert.ok(all.length > 25, `only ${all.length} calls were found`);
  for (const [file, programs] of Object.entries(furtherPrograms))
    for (const program of programs) assert.ok(mentions(file, program), `${file} does not name '${program}'`);
  for (const { file, program } of all) {
    const tool = basename(program);
    if (tool in notNeeded) continue;
    const entry = table.find(({ name }) => name === packageOfTool(tool));
    assert.ok(entry !== undefined, `'${tool}', which ${file} calls, is of no package in the table`);
    for (const purpose of purposesOf(file))
      assert.ok(
        entry.purposes.includes(purpose),
        `'${entry.name}' is not for '${purpose}': ${file} calls '${tool}'`,
      );
  }
});

test('every program in the table is called by something', async () => {
  const written = [...(await findCalls('sources')), ...(await findCalls('tests'))].map(
    call => call.program ?? '',
  );
  const called = new Set(
    [written, ...Object.values(namedElsewhere), ...Object.values(furtherPrograms), kbuildPrograms].flatMap(
      programs => programs.map(program => basename(program)),
    ),
  );
  assert.deepEqual(
    table.flatMap(({ tools }) => tools).filter(tool => !called.has(tool)),
    [],
  );
});

test('every program that only tests call is in the table', async () => {
  const programs = (await findCalls('tests')).flatMap(({ program }) => program ?? []);
  const own = (program: string) => program.includes('no-such') || program.startsWith('/nonexistent/');
  assert.deepEqual(
    [...new Set(programs)].filter(
      program => !own(program) && !(program in notNeeded) && packageOfTool(program) === undefined,
    ),
    [],
  );
});

test('asking the package archive wants no compiler', () => {
  assert.deepEqual(
    table.filter(({ purposes }) => purposes.includes('archive')).map(({ name }) => name),
    ['apt', 'dpkg', 'util-linux', 'dash', 'coreutils', 'ca-certificates'],
  );
});

test('a package stands in the table once, and so does a program', () => {
  for (const names of [table.map(({ name }) => name), table.flatMap(({ tools }) => tools)])
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
    );
});

function mentions(file: string, word: string): boolean {
  return readFileSync(join(packages, file), 'utf8').includes(word);
}
