import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import type { PackageInfo } from './distribution.ts';
import {
  type ArchiveList,
  cached,
  importKit,
  readArchive,
  rootMakerOf,
  writeArchive,
} from './kit-archive.ts';
import { tarHeader, tarPadding } from './tar.ts';
import { placeKit } from './test-kit.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-archive-test-'));
const before = process.env['KSTITCH_CACHE'];
process.env['KSTITCH_CACHE'] = join(work, 'cache');
after(async () => {
  if (before === undefined) delete process.env['KSTITCH_CACHE'];
  else process.env['KSTITCH_CACHE'] = before;
  await rm(work, { recursive: true, force: true });
});
const debs = join(work, 'cache/debs');

async function makePackage(name: string, content: string): Promise<PackageInfo> {
  const sha256 = createHash('sha256').update(content).digest('hex');
  await mkdir(debs, { recursive: true });
  await writeFile(join(debs, `${sha256}.deb`), content);
  return { name, version: '6.1.1-1', size: Buffer.byteLength(content), sha256 };
}

const [image, headers, commonHeaders, kbuild, source, gcc] = await Promise.all([
  makePackage('linux-image-6.1.0-1-amd64', 'image'),
  makePackage('linux-headers-6.1.0-1-amd64', 'h'.repeat(512)),
  makePackage('linux-headers-6.1.0-1-common', ''),
  makePackage('linux-kbuild-6.1', 'k'.repeat(513)),
  makePackage('linux-source-6.1', 's'.repeat(3_000_000)),
  makePackage('gcc-12', 'gcc'),
]);
const kernel = {
  release: '6.1.0-1-amd64',
  version: '6.1.1-1',
  series: '6.1',
  image,
  headers,
  commonHeaders,
  kbuild,
  source,
};
const list: ArchiveList = { kernel, root: { suite: 'bookworm', packages: [gcc] } };
const file = join(work, 'kit.tar');
const written = await writeArchive(silentContext(), file, list, cached);
const whole = await readFile(file);

/** Reads an archive into an empty cache. */
async function read(bytes: Uint8Array) {
  await rm(debs, { recursive: true, force: true });
  const path = join(work, 'read.tar');
  await writeFile(path, bytes);
  return await readArchive(silentContext(), path, () => {});
}

test('an archive gives back its packages, and tar reads it too', async () => {
  const found = await read(whole);
  assert.deepEqual(found.list, list);
  assert.deepEqual(found.archive, written);
  assert.equal(written.sha256, createHash('sha256').update(whole).digest('hex'));
  assert.equal(written.size, whole.length);
  const names = [image, headers, commonHeaders, kbuild, source, gcc].map(({ sha256 }) => `${sha256}.deb`);
  assert.deepEqual((await readdir(debs)).toSorted(), names.toSorted());
  assert.equal((await readFile(cached(source))).length, 3_000_000);

  const listed = execFileSync('tar', ['--list', '--file', file], { encoding: 'utf8' });
  assert.deepEqual(listed.trim().split('\n'), ['kstitch-kit.json', ...names.map(name => `debs/${name}`)]);
  const extracted = execFileSync('tar', [
    '--extract',
    '--to-stdout',
    '--file',
    file,
    `debs/${gcc.sha256}.deb`,
  ]);
  assert.equal(extracted.toString(), 'gcc');
});

test('the same packages make the same archive, and nothing else is left beside it', async () => {
  const folder = join(work, 'again');
  await mkdir(folder);
  await writeArchive(silentContext(), join(folder, 'kit.tar'), list, cached);
  assert.ok(whole.equals(await readFile(join(folder, 'kit.tar'))));
  const stop = new AbortController();
  stop.abort();
  await assert.rejects(writeArchive(silentContext(stop.signal), join(folder, 'b.tar'), list, cached), {
    code: 'interrupted',
  });
  assert.deepEqual(await readdir(folder), ['kit.tar']);
});

test('an archive that is cut short anywhere is refused', async () => {
  // Not the last two blocks of zeros alone: within a header, a list, a package, its padding, and at the seams.
  const cuts = [
    0,
    100,
    512,
    1000,
    4096,
    whole.length >> 1,
    whole.length - 1536,
    whole.length - 1024,
    whole.length - 1,
  ];
  for (const length of cuts)
    await assert.rejects(read(whole.subarray(0, length)), { code: 'kit-archive-damaged' }, `${length} bytes`);
});

test('a changed byte anywhere is refused, and what was damaged is not in the cache', async () => {
  const spoiled = (at: number): Buffer => {
    const bytes = Buffer.from(whole);
    bytes[at] = bytes.readUInt8(at) ^ 1;
    return bytes;
  };
  const inSource = whole.indexOf('s'.repeat(1000)) + 1_500_000;
  await assert.rejects(read(spoiled(inSource)), error => {
    assert.ok(error instanceof KstitchError && error.code === 'kit-archive-damaged');
    assert.match(
      error.message,
      new RegExp(`SHA-256 of package 'linux-source-6\\.1' is [0-9a-f]{64}, not ${source.sha256}`),
    );
    return true;
  });
  assert.ok(!(await readdir(debs)).some(name => name.includes(source.sha256)));
  for (const at of [
    0,
    124,
    148,
    156,
    whole.indexOf('"sha256"') + 12,
    whole.indexOf('debs/'),
    whole.length - 1,
  ])
    await assert.rejects(read(spoiled(at)), { code: 'kit-archive-damaged' }, `byte ${at}`);
});

test('an archive holds what its list says, no more and nowhere else', async () => {
  const build = (folder: string, names: readonly string[], ...more: string[]) =>
    execFileSync('tar', ['--create', '--format=ustar', ...more, '--directory', folder, ...names], {
      maxBuffer: 1e8,
    });
  const folder = join(work, 'made');
  await mkdir(join(folder, 'debs'), { recursive: true });
  await writeFile(join(folder, 'kstitch-kit.json'), JSON.stringify({ schema: 1, ...list }));
  await read(whole);
  const all = [image, headers, commonHeaders, kbuild, source, gcc];
  for (const info of all)
    await writeFile(join(folder, `debs/${info.sha256}.deb`), await readFile(cached(info)));
  const names = ['kstitch-kit.json', ...all.map(({ sha256 }) => `debs/${sha256}.deb`)];
  // tar itself fills up to 20 blocks.
  const exact = (bytes: Buffer) =>
    bytes.subarray(
      0,
      whole.length -
        Math.ceil(JSON.stringify({ schema: 1, ...list }, undefined, 2).length / 512) * 512 +
        Math.ceil(JSON.stringify({ schema: 1, ...list }).length / 512) * 512,
    );
  assert.deepEqual((await read(exact(build(folder, names)))).list, list);

  await writeFile(join(folder, 'more'), 'more');
  const refused: readonly Buffer[] = [
    build(folder, [...names, 'more']),
    build(folder, names.slice(0, -1)),
    build(folder, ['kstitch-kit.json', ...names.slice(1).toReversed()]),
    build(folder, names.slice(1)),
    build(folder, names, '--transform=s,debs/,../debs/,'),
    build(folder, ['debs', ...names]),
  ];
  for (const [i, bytes] of refused.entries())
    await assert.rejects(read(bytes), { code: 'kit-archive-damaged' }, `case ${i}`);
  const foreign = { ...list, kernel: { ...kernel, release: '../../etc' } };
  await writeFile(join(folder, 'kstitch-kit.json'), JSON.stringify({ schema: 1, ...foreign }));
  await assert.rejects(read(build(folder, names)), { code: 'kit-archive-damaged' });
  const whatever = Buffer.from('a file of something else'.padEnd(512));
  for (const bytes of [
    Buffer.from(''),
    Buffer.from('no archive at all'),
    Buffer.alloc(2048),
    Buffer.concat([tarHeader('other', whatever.length), whatever]),
  ])
    await assert.rejects(read(bytes), {
      code: 'kit-archive-damaged',
      message: `read '${join(work, 'read.tar')}': it is no file of kstitch kernel export`,
    });
  const later = Buffer.from(JSON.stringify({ schema: 2, ...list }));
  await assert.rejects(
    read(Buffer.concat([tarHeader('kstitch-kit.json', later.length), later, tarPadding(later.length)])),
    { code: 'kit-archive-damaged', message: /its 'kstitch-kit\.json' is none that this kstitch knows/ },
  );
});

test('a build root is made of what the archive holds, never of what an archive elsewhere has', async () => {
  const suite = { name: 'trixie', sources: 'deb http://127.0.0.1:9/debian trixie main' };
  for (const held of [{ kernel }, list]) {
    await assert.rejects(rootMakerOf(held, 'kit.tar')(silentContext(), suite, 'gcc-14'), {
      code: 'kit-archive-rootless',
      message:
        "import 'kit.tar': the kernel needs a compiler of Debian 'trixie', which neither this machine nor the file has",
    });
  }
});

test('a real-time kernel has its patches in the archive', async () => {
  // What earlier tests took out of the cache is in the archive that they read.
  await read(whole);
  const patches = await makePackage('linux', 'patches');
  const realTime: ArchiveList = { kernel: { ...kernel, patches } };
  const path = join(work, 'rt.tar');
  await writeArchive(silentContext(), path, realTime, cached);
  assert.deepEqual((await read(await readFile(path))).list, realTime);
  assert.equal(await readFile(cached(patches), 'utf8'), 'patches');
});

test('bytes behind the end of an archive are refused', async () => {
  for (const more of ['\0', 'x', '\0'.repeat(512)])
    await assert.rejects(read(Buffer.concat([whole, Buffer.from(more)])), {
      code: 'kit-archive-damaged',
      message: /something stands behind its end/,
    });
});

test('what the command line names must be a plain file that can be read', async () => {
  const pipe = join(work, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const [path, says] of [
    [join(work, 'none.tar'), 'no such file or directory'],
    [work, 'it is no plain file'],
    [pipe, 'it is no plain file'],
  ] as const)
    await assert.rejects(importKit(silentContext(), path), {
      code: 'input-unreadable',
      message: `read '${path}': ${says}`,
    });
});

test('a damaged package in the cache is not exported, and an import replaces it', async () => {
  await read(whole);
  const path = join(work, 'damaged.tar');
  for (const content of ['g', 'ccg'] as const) {
    await writeFile(cached(gcc), content);
    await assert.rejects(writeArchive(silentContext(), path, list, cached), {
      code: 'kit-package-damaged',
      message: /debs\/[0-9a-f]{64}\.deb', package 'gcc-12': it/,
    });
    await assert.rejects(readFile(path), { code: 'ENOENT' });
  }
  await readArchive(silentContext(), file, () => {});
  assert.equal(await readFile(cached(gcc), 'utf8'), 'gcc');
});

test('an import takes the kit in the cache when it is made of the same packages, else none', async () => {
  const packages = [image, headers, commonHeaders, kbuild, source];
  const { release } = kernel;
  const directory = await placeKit({ release, packageVersion: kernel.version, packages });
  const { kit, archive } = await importKit(silentContext(), file);
  assert.deepEqual([kit.name, archive], [release, written]);

  const older = { ...image, version: '6.1.0-1', sha256: 'a'.repeat(64) };
  await placeKit({ release, packageVersion: '6.1.0-1', packages: [older, ...packages.slice(1)] });
  await assert.rejects(importKit(silentContext(), file), error => {
    assert.ok(error instanceof KstitchError && error.code === 'kit-other-packages');
    assert.match(error.message, /of version '6\.1\.1-1', and the cache has a kit of version '6\.1\.0-1'/);
    assert.deepEqual(error.notes, [
      `in the file: ${image.name} 6.1.1-1, SHA-256 ${image.sha256}`,
      `in the cache: ${image.name} 6.1.0-1, SHA-256 ${older.sha256}`,
    ]);
    return true;
  });
  // The same version from another build.
  await placeKit({ release, packageVersion: kernel.version, packages: [{ ...image, sha256: older.sha256 }] });
  await assert.rejects(importKit(silentContext(), file), { code: 'kit-other-packages' });
  await rm(directory, { recursive: true });
});

test('a file with another SHA-256 than the user has is refused before the kit is made', async () => {
  const packages = [image, headers, commonHeaders, kbuild, source];
  const directory = await placeKit({ release: kernel.release, packageVersion: kernel.version, packages });
  assert.equal((await importKit(silentContext(), file, written.sha256)).kit.name, kernel.release);
  await rm(directory, { recursive: true });
  await assert.rejects(importKit(silentContext(), file, 'a'.repeat(64)), {
    code: 'kit-archive-damaged',
    message: `read '${file}': its SHA-256 is ${written.sha256}, not ${'a'.repeat(64)}`,
  });
  // Without one it is said before: these packages are none, so that the kit fails.
  const said: string[] = [];
  const context = silentContext();
  const noting = Object.create(context.progress, { note: { value: (text: string) => said.push(text) } });
  await assert.rejects(importKit({ ...context, progress: noting }, file));
  assert.deepEqual(said, [`SHA-256 of '${file}': ${written.sha256}`]);
});
