import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { compiler, missingCompiler } from '@kstitch/testkit/compile';
import { thisMachine } from '../root/workshop.ts';
import { makeShadowTree } from './shadow-tree.ts';

const root = await mkdtemp(join(tmpdir(), 'kstitch-shadow-'));
after(() => rm(root, { recursive: true }));
const tree = join(root, 'tree');
for (const [path, text] of [
  ['.config', ''],
  ['include/i.h', 'old_include'],
  ['fs/ext4/a.c', '#include "a.h"\n#include "b.c"\n#include <i.h>\n'],
  ['fs/ext4/a.h', 'old_a_h'],
  ['fs/ext4/b.c', 'old_b_c'],
  ['fs/xfs/x.c', 'old_x_c'],
  ['arch/x86/kvm/Makefile', ''],
  ['virt/kvm/main.c', '#include "main.h"\n'],
  ['virt/kvm/main.h', 'old_main_h'],
] as const) {
  await mkdir(dirname(join(tree, path)), { recursive: true });
  await writeFile(join(tree, path), text);
}
const kit = { release: 'x', packageVersion: 'y', workshop: thisMachine, paths: { tree, units: '' } };

async function shadow(
  files: Readonly<Record<string, string | undefined>>,
  spellings: readonly string[] = [],
): Promise<string> {
  const directory = await mkdtemp(join(root, 'shadow-'));
  await makeShadowTree(
    kit,
    directory,
    Object.entries(files).map(([path, text]) => ({ path, text })),
    spellings,
  );
  return directory;
}

function preprocess(directory: string, source: string): string {
  const run = spawnSync(compiler, ['-E', '-P', '-Iinclude', source], { cwd: directory, encoding: 'utf8' });
  return run.status === 0 ? run.stdout.trim().replaceAll(/\s+/g, ' ') : run.stderr;
}

test('makeShadowTree() shows the tree with some files changed', async () => {
  const directory = await shadow({ 'fs/ext4/a.c': 'new\n' });
  assert.equal(await readFile(join(directory, 'fs/ext4/a.c'), 'utf8'), 'new\n');
  assert.equal(await readFile(join(directory, 'fs/ext4/b.c'), 'utf8'), 'old_b_c');
  assert.equal(await readFile(join(directory, '.config'), 'utf8'), '');
  assert.equal(
    await readFile(join(tree, 'fs/ext4/a.c'), 'utf8'),
    '#include "a.h"\n#include "b.c"\n#include <i.h>\n',
  );
  assert.ok((await lstat(join(directory, 'fs/xfs'))).isSymbolicLink());
  assert.ok((await lstat(join(directory, 'fs/ext4'))).isDirectory());
});

test('makeShadowTree() writes bytes that are no UTF-8 as they are', async () => {
  const directory = await shadow({ 'fs/ext4/a.c': '\u00e9' });
  assert.deepEqual([...(await readFile(join(directory, 'fs/ext4/a.c')))], [0xe9]);
});

test('an unchanged file in a shadow includes its changed neighbour', { skip: missingCompiler }, async () => {
  const directory = await shadow({ 'fs/ext4/b.c': 'new_b_c' });
  assert.equal(preprocess(directory, 'fs/ext4/a.c'), 'old_a_h new_b_c old_include');
});

test('makeShadowTree() adds new files and folders and leaves files out', async () => {
  const directory = await shadow({ 'fs/new/n.c': 'n', 'fs/ext4/b.c': undefined });
  assert.equal(await readFile(join(directory, 'fs/new/n.c'), 'utf8'), 'n');
  await assert.rejects(readFile(join(directory, 'fs/ext4/b.c')), { code: 'ENOENT' });
});

test('a name that goes up from a linked folder finds the changed file', {
  skip: missingCompiler,
}, async () => {
  const spelling = 'arch/x86/kvm/../../../virt/kvm/main.c';
  const changed = { 'virt/kvm/main.c': '#include "main.h"\nnew_main' };
  assert.equal(preprocess(await shadow(changed, [spelling]), spelling), 'old_main_h new_main');
  assert.equal(preprocess(await shadow(changed), spelling), 'old_main_h');
});

test('a file in a folder below finds the changed file above it when it is passed', {
  skip: missingCompiler,
}, async () => {
  const source = 'virt/kvm/main.c';
  await writeFile(join(tree, 'virt/kvm/up.c'), '#include "../../fs/ext4/a.h"\n');
  const changed = { 'fs/ext4/a.h': 'new_a_h' };
  assert.equal(preprocess(await shadow(changed, ['virt/kvm/up.c']), 'virt/kvm/up.c'), 'new_a_h');
  assert.equal(
    preprocess(await shadow(changed), 'virt/kvm/up.c'),
    'old_a_h',
    'a link leads out of the shadow',
  );
  assert.equal(preprocess(await shadow(changed), source), 'old_main_h');
});
