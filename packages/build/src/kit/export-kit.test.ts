import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { Apt } from './apt.ts';
import { type PackageInfo, plain } from './distribution.ts';
import { exportKit, listPackages } from './export-kit.ts';
import { listKits } from './kit.ts';
import { cached, readArchive } from './kit-archive.ts';
import { infoOf, type Offer, withArchive } from './test-archive.ts';
import { placeKit } from './test-kit.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-export-test-'));
process.env['KSTITCH_CACHE'] = join(work, 'cache');
after(() => rm(work, { recursive: true, force: true }));
await mkdir(join(work, 'cache/debs'), { recursive: true });

async function makePackage(name: string): Promise<PackageInfo> {
  const sha256 = createHash('sha256').update(name).digest('hex');
  const info = { name, version: '6.1.1-1', size: name.length, sha256 };
  await writeFile(cached(info), name);
  return info;
}

const release = '6.1.0-1-amd64';
const packageVersion = '6.1.1-1';
const packages = await Promise.all(
  ['image', 'headers', 'common', 'kbuild', 'source'].map(name => makePackage(name)),
);
const root = { suite: 'trixie', packages: [await makePackage('dash'), await makePackage('gcc-14')] };
const file = join(work, 'kit.tar');

test('an export has the build root that the kit was made in, unless it is left out', async () => {
  await placeKit({ release, packageVersion, packages, root });
  for (const [wanted, held] of [
    [true, root],
    [false, undefined],
  ] as const) {
    const archive = await exportKit(silentContext(), release, file, { root: wanted });
    assert.equal(archive.packages, wanted ? 7 : 5);
    const { list } = await readArchive(silentContext(), file, () => {});
    assert.deepEqual(list.root, held);
    const [image, headers, commonHeaders, kbuild, source] = packages;
    const parts = { image, headers, commonHeaders, kbuild, source };
    assert.deepEqual(list.kernel, { release, version: packageVersion, series: '6.1', ...parts });
  }
});

test('a file that cannot be written is told before anything is downloaded for it', async () => {
  const [image] = packages;
  assert.ok(image);
  await rm(cached(image));
  for (const [path, says] of [
    [join(work, 'none/kit.tar'), 'no such file or directory (ENOENT)'],
    [join(file, 'kit.tar'), 'not a directory (ENOTDIR)'],
    [work, 'it is a folder'],
  ] as const)
    await assert.rejects(exportKit(silentContext(), release, path, { root: false }), {
      code: 'host-file-failed',
      message: `write '${path}': ${says}`,
    });
  await writeFile(cached(image), 'image');
});

test('what else lies beside the kits is none, and hinders no list of them', async () => {
  for (const name of ['a copy of it', '6.1.0-1-amd64@old', '.partial'])
    await mkdir(join(work, 'cache/kits', name), { recursive: true });
  assert.deepEqual(
    (await listKits()).map(({ name }) => name),
    [release],
  );
  assert.ok(await readFile(join(work, 'cache/kits', release, 'kit.json')));
});

/** @returns what an archive of one kernel says that its kit would be made of, and what it should say */
async function list(name: string, base: string) {
  const version = '6.1.1-1';
  const offers: Offer[] = [
    { name: `linux-image-${name}`, version },
    {
      name: `linux-headers-${name}`,
      version,
      depends: `linux-headers-${base}-common (= ${version}), linux-kbuild-6.1 (>= ${version}), gcc-12`,
    },
    { name: `linux-headers-${base}-common`, version },
    { name: 'linux-kbuild-6.1', version },
    { name: 'linux-source-6.1', version },
  ];
  const expected = { release: name, version, packages: offers.map(infoOf) };
  return await withArchive(offers, async archive => {
    // The archive of the suite is another one, and there is none.
    process.env['KSTITCH_DEBIAN_MIRROR'] = process.env['KSTITCH_DEBIAN_SECURITY_MIRROR'] =
      `${archive.base}/none`;
    const options = { apt: new Apt(`list-${name}`, archive.sources) };
    return { expected, list: await listPackages(silentContext(), name, options) };
  });
}

test('a kit is listed as the packages of its kernel, in the order of the kit', async () => {
  const found = await list('6.1.1-amd64', '6.1.1');
  assert.deepEqual({ ...found.list, packages: found.list.packages.map(plain) }, found.expected);
});

test('where the compiler of a kernel comes from must be known: it is not left out of a list', async () => {
  await assert.rejects(list('6.1.0-1-amd64', '6.1.0-1'), { code: 'root-suite-unreachable' });
});
