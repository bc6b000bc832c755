/** A root of Debian 13, with the compiler that its kernels are built with. */
import assert from 'node:assert/strict';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { removeTree } from '@kstitch/host/files';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { missingNamespaces } from '@kstitch/testkit/namespaces';
import { checkCompiler } from '../compile/compiler.ts';
import { makeRoot, openRoot } from './build-root.ts';
import { chooseWorkshop } from './choose-workshop.ts';
import { suiteOf } from './suites.ts';
import { inRoot } from './workshop.ts';

const release = '6.12.117+deb13-cloud-amd64';
const suite = suiteOf(release);
assert.ok(suite);
// A cache of its own, because roots are removed; what was downloaded is shared.
const shared = cacheDirectory();
await mkdir(join(shared, 'debs'), { recursive: true });
const work = await mkdtemp(join(shared, 'root-test-'));
process.env['KSTITCH_CACHE'] = work;
await symlink(join(shared, 'debs'), join(work, 'debs'));
after(() => rm(work, { recursive: true, force: true }));
const { signal } = new AbortController();
const skip = missingNamespaces;

const root = await makeRoot(silentContext(), suite, 'gcc-14');
const workshop = inRoot(root);
const firstLine = async (program: string) =>
  (await workshop.run(program, ['--version'], { signal })).stdout.split('\n')[0] ?? '';
const bannerTool = (program: string, text: string) => ({
  program,
  text,
  version: '',
  packageVersion: undefined,
});

test('a root has the compiler of its suite, and names every package to the version', { skip }, async () => {
  const { version } = root.packages.find(({ name }) => name === 'gcc-14') ?? {};
  assert.match(
    await firstLine('x86_64-linux-gnu-gcc-14'),
    new RegExp(`^x86_64-linux-gnu-gcc-14 \\(Debian ${version}\\) 14\\.`),
  );
  assert.match(await firstLine('awk'), /^mawk /);
  for (const program of ['make', 'ld', 'bison', 'flex', 'perl', 'python3', 'objdump'])
    await firstLine(program);
  const names = root.packages.map(({ name }) => name);
  assert.deepEqual(names, names.toSorted());
  assert.deepEqual(await openRoot({ suite: root.suite, packages: root.packages }), root);
});

test('two fresh roots are the same, and so is what is compiled in them', { skip }, async () => {
  await writeFile(
    join(work, 'a.c'),
    '#include <stdio.h>\nint f(int a) { return printf("%d %s\\n", a, __VERSION__); }\n',
  );
  const compile = async () => {
    const args = ['-O2', '-g', '-c', '-o', 'a.o', 'a.c'];
    await workshop.run('gcc-14', args, { cwd: work, signal });
    return await readFile(join(work, 'a.o'));
  };
  const listed = await listing(root.directory);
  assert.ok(listed.length > 5000);
  const first = await compile();
  await removeTree(root.directory);

  // What a killed run leaves is no root. Entering makes the places that are mounted on, also where the root has just gone.
  await mkdir(join(root.directory, 'tmp'), { recursive: true });
  const left = join(dirname(root.directory), `.${basename(root.directory)}.0123.partial`);
  await mkdir(left);
  assert.equal(await openRoot(root), undefined);
  const packages = [...root.packages, { name: 'zz', version: '1', size: 1, sha256: 'a'.repeat(64) }];
  assert.equal(await openRoot({ suite: root.suite, packages }), undefined);

  const again = await makeRoot(silentContext(), suite, 'gcc-14');
  assert.equal(again.directory, root.directory);
  await assert.rejects(lstat(left), { code: 'ENOENT' });
  assert.deepEqual(await listing(root.directory), listed);
  assert.deepEqual(await compile(), first);
});

test('a kernel is compiled in a root where this machine has another compiler, and only there', {
  skip,
}, async () => {
  const text = await firstLine('x86_64-linux-gnu-gcc-14');
  const banner = {
    compiler: bannerTool('x86_64-linux-gnu-gcc-14', text),
    linker: bannerTool('GNU ld', await firstLine('ld')),
  };
  const chosen = await chooseWorkshop(silentContext(), release, banner, makeRoot);
  assert.ok(chosen.root === undefined || chosen.root.directory === root.directory);
  const found = await checkCompiler(silentContext(), workshop, banner);
  assert.equal(found.compiler, text);
  // One revision off, which is how far Debian's compilers change under a release.
  const other = { ...banner, compiler: bannerTool('x86_64-linux-gnu-gcc-14', `${text}x`) };
  await assert.rejects(checkCompiler(silentContext(), workshop, other), {
    code: 'wrong-compiler',
    message: /, the build root of 'trixie' has 'x86_64-linux-gnu-gcc-14 /,
  });
});

test('a suite that is gone is named with its archives', async () => {
  const sources = 'deb [trusted=yes] http://127.0.0.1:9/debian gone main';
  await assert.rejects(makeRoot(silentContext(), { name: 'gone', sources }, 'gcc-14'), error => {
    assert.ok(error instanceof KstitchError && error.code === 'root-suite-unreachable');
    assert.equal(error.notes[0], sources);
    return true;
  });
});

test('a package that the suite does not have is named', async () => {
  await assert.rejects(makeRoot(silentContext(), suite, 'gcc-99'), error => {
    assert.ok(error instanceof KstitchError && error.code === 'root-suite-unreachable');
    assert.match(error.notes.join('\n'), /Unable to locate package gcc-99/);
    return true;
  });
});

/** Paths, kinds and sizes of all that lies in a folder. */
async function listing(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory, { recursive: true });
  const lines = await Promise.all(
    names.map(async name => {
      const { mode, size, mtimeMs } = await lstat(join(directory, name));
      const isFile = (mode & 0o170000) === 0o100000;
      return `${name} ${mode.toString(8)} ${isFile ? `${size} ${mtimeMs}` : ''}`;
    }),
  );
  // Places that are mounted on come with the folders of whoever enters.
  const entered = [cacheDirectory(), tmpdir()].map(folder => folder.slice(1));
  return lines
    .filter(line => !entered.some(folder => folder.startsWith(line.split(' ')[0] ?? '')))
    .toSorted();
}
