import assert from 'node:assert/strict';
import {
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after as afterAll, test } from 'node:test';
import { copyOwnFiles, hashOwnFiles, listOwnFiles, stampOf } from './own-files.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-own-files-'));
afterAll(() => rm(work, { recursive: true, force: true }));
const directory = join(work, 'linux');
const { signal } = new AbortController();

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(directory, path)), { recursive: true });
  await writeFile(join(directory, path), text);
}

const sources = [
  '.config',
  'Makefile',
  'fs/pipe.c',
  'include/config/auto.conf.cmd',
  'lib/crc.o_shipped',
  'vmlinux.h/x',
];
const images = ['Module.symvers', 'arch/x86/boot/bzImage', 'modules.builtin', 'modules.order', 'vmlinux'];
const made = [
  '.git/HEAD',
  '.tmp_vmlinux1',
  '.vmlinux.cmd',
  'System.map',
  'vmlinux.o',
  'modules.builtin.modinfo',
  'certs/signing_key.pem',
  'certs/signing_key.x509',
  'arch/x86/boot/vmlinux.bin',
  'arch/x86/boot/compressed/vmlinux.bin.gz',
  'debian/rules',
  'fs/.pipe.o.cmd',
  'fs/pipe.o',
  'fs/built-in.a',
  'fs/fat/fat.mod',
  'fs/fat/fat.mod.c',
  'fs/fat/modules.order',
];
for (const path of [...sources, ...images, ...made, 'fs/fat/fat.ko']) await put(path, path);
await writeFile(join(work, 'outside'), 'outside');
await symlink('../Makefile', join(directory, 'fs/inner'));
await symlink('nowhere', join(directory, 'fs/dangling'));
await symlink(join(work, 'outside'), join(directory, 'outer'));
await symlink('../../outside', join(directory, 'fs/outer'));

const pathsOf = (files: Awaited<ReturnType<typeof listOwnFiles>>, kind: string) =>
  files.filter(file => file.kind === kind).map(({ path }) => path);

test('source, modules and images are taken, what a build leaves besides is not', async () => {
  const files = await listOwnFiles(directory, signal);
  const links = ['fs/dangling', 'fs/inner', 'fs/outer', 'outer'];
  assert.deepEqual(pathsOf(files, 'source'), [...sources, ...links].toSorted());
  assert.deepEqual(pathsOf(files, 'image'), images);
  assert.deepEqual(pathsOf(files, 'module'), ['fs/fat/fat.ko']);
});

test('a copy holds no link out of itself: what is written there changes nothing elsewhere', async () => {
  const into = join(work, 'copy');
  await copyOwnFiles(directory, await listOwnFiles(directory, signal), 'source', into);
  assert.equal(await readlink(join(into, 'fs/inner')), '../Makefile');
  assert.equal(await readlink(join(into, 'fs/dangling')), 'nowhere');
  for (const path of ['outer', 'fs/outer']) {
    assert.ok((await lstat(join(into, path))).isFile(), path);
    await writeFile(join(into, path), 'changed');
  }
  assert.equal(await readFile(join(work, 'outside'), 'utf8'), 'outside');
  assert.deepEqual((await readdir(join(into, 'fs'))).toSorted(), ['dangling', 'inner', 'outer', 'pipe.c']);
});

test('the hash is that of contents, the stamp changes with whatever is touched', async () => {
  const read = async () => {
    const files = await listOwnFiles(directory, signal);
    return { stamp: stampOf(files), hash: await hashOwnFiles(directory, files) };
  };
  const first = await read();
  assert.deepEqual(await read(), first);
  await utimes(join(directory, 'fs/pipe.c'), new Date(0), new Date(0));
  const touched = await read();
  assert.notEqual(touched.stamp, first.stamp);
  assert.equal(touched.hash, first.hash);
  for (const path of ['fs/pipe.c', 'vmlinux', 'fs/fat/fat.ko']) {
    await put(path, 'another');
    assert.notEqual((await read()).hash, first.hash, path);
    await put(path, path);
  }
  // Through a link out of the folder, too.
  const before = await read();
  await writeFile(join(work, 'outside'), 'another');
  const after = await read();
  assert.notEqual(after.hash, before.hash);
  assert.notEqual(after.stamp, before.stamp);
  // What is not taken does not count.
  await writeFile(join(work, 'outside'), 'outside');
  await put('fs/pipe.o', 'another');
  assert.equal((await read()).hash, first.hash);
});

test('a link out of the folder that leads to no file is refused by its name', async () => {
  for (const [target, path] of [
    [work, 'source'],
    [join(work, 'none'), 'fs/none'],
    ['../../none', 'fs/none'],
    ['..', 'above'],
  ] as const) {
    await symlink(target, join(directory, path));
    const files = await listOwnFiles(directory, signal);
    const refused = {
      code: 'own-kernel-incomplete',
      message: `use the kernel in '${directory}': its link '${path}' leads out of it, to '${target}', which is no file`,
    };
    await assert.rejects(hashOwnFiles(directory, files), refused);
    await assert.rejects(copyOwnFiles(directory, files, 'source', join(work, 'refused')), refused);
    await rm(join(directory, path));
    await rm(join(work, 'refused'), { recursive: true });
  }
});

test('a file that cannot be read is told as what the command line named', async () => {
  const files = await listOwnFiles(directory, signal);
  await rm(join(directory, 'vmlinux'));
  await mkdir(join(directory, 'vmlinux'));
  await assert.rejects(hashOwnFiles(directory, files), {
    code: 'input-unreadable',
    message: `read '${join(directory, 'vmlinux')}': illegal operation on a directory`,
  });
});
