import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { Apt } from './apt.ts';
import { debian } from './debian.ts';
import type { KernelPackages } from './distribution.ts';
import { type Offer, withArchive } from './test-archive.ts';

const cache = await mkdtemp(join(tmpdir(), 'kstitch-debian-test-'));
process.env['KSTITCH_CACHE'] = cache;
after(() => rm(cache, { recursive: true }));

const release = '6.1.0-55-cloud-amd64';
const version = '6.1.192-1';
const image: Offer = { name: `linux-image-${release}`, version };
const headers: Offer = {
  name: `linux-headers-${release}`,
  version,
  depends: `linux-headers-6.1.0-55-common (= ${version}), linux-kbuild-6.1 (>= 6.1.190-1), gcc-12`,
};
const common: Offer = { name: 'linux-headers-6.1.0-55-common', version };
const source: Offer = { name: 'linux-source-6.1', version };
const kbuild: Offer = { name: 'linux-kbuild-6.1', version: '6.1.192-2' };

let archives = 0;

/** Asks an archive that has these packages; the snapshot archive knows nothing unless its address is given. */
function locate(offers: readonly Offer[], snapshot?: string): Promise<KernelPackages> {
  return withArchive(offers, archive =>
    debian({
      snapshot: snapshot ?? `${archive.base}/archive/debian/`,
      apt: new Apt(`archive-${archives++}`, archive.sources),
    }).locate(silentContext(), release),
  );
}

test('a release is the packages of exactly its version, and the oldest kbuild that will do', async () => {
  const found = await locate([
    image,
    headers,
    common,
    source,
    { ...source, version: '6.1.192-2' },
    { ...kbuild, version: '6.1.100-1' },
    kbuild,
    { ...kbuild, version: '6.1.200-1' },
  ]);
  assert.deepEqual(
    [found.image, found.headers, found.commonHeaders, found.source, found.kbuild].map(
      wanted => `${wanted.name}=${wanted.version}`,
    ),
    [
      `linux-image-${release}=${version}`,
      `linux-headers-${release}=${version}`,
      `linux-headers-6.1.0-55-common=${version}`,
      `linux-source-6.1=${version}`,
      'linux-kbuild-6.1=6.1.192-2',
    ],
  );
  assert.deepEqual([found.version, found.series], [version, '6.1']);
});

test('an archive that has the image and lacks another package of that version is told so', async () => {
  const all = [image, headers, common, source, kbuild];
  const older = { ...source, version: '6.1.190-1' };
  const newer = { ...source, version: '6.1.192-2' };
  for (const [offers, text] of [
    [
      [image, headers, common, kbuild, older, newer],
      "find 'linux-source-6.1' of version '6.1.192-1': the archive has '6.1.192-2', '6.1.190-1'",
    ],
    [
      all.filter(offer => offer !== headers),
      `find 'linux-headers-${release}' of version '6.1.192-1': the archive has no version of it`,
    ],
    [
      [image, headers, common, source, { ...kbuild, version: '6.1.100-1' }],
      "find 'linux-kbuild-6.1' of version '6.1.190-1': the archive has '6.1.100-1'",
    ],
  ] as const) {
    await assert.rejects(locate(offers), error => {
      assert.ok(error instanceof KstitchError);
      assert.deepEqual([error.code, error.message], ['kit-package-gone', text]);
      return true;
    });
  }
});

test('headers that name no common headers or no kbuild are not understood', async () => {
  for (const [depends, text] of [
    ['linux-kbuild-6.1', 'it depends on no common headers'],
    ['linux-headers-6.1.0-55-common', 'it depends on no linux-kbuild'],
  ] as const) {
    await assert.rejects(locate([image, { ...headers, depends }, common, source, kbuild]), error => {
      assert.ok(error instanceof KstitchError && error.code === 'kit-package-unexpected');
      assert.equal(error.message, `read 'linux-headers-${release}': ${text}`);
      return true;
    });
  }
});

test('a release that neither archive knows', async () => {
  await assert.rejects(
    locate([{ name: 'linux-image-6.1.0-56-cloud-amd64', version: '6.1.192-2' }]),
    error => {
      assert.ok(error instanceof KstitchError && error.code === 'kit-release-unknown');
      assert.match(error.notes.join(), /'6\.1\.0-56-cloud-amd64'/);
      return true;
    },
  );
});

test("a snapshot archive that is not signed with Debian's keys is not believed", async () => {
  await withArchive([image, headers, common, source, kbuild], async ({ base }) => {
    await assert.rejects(locate([], `${base}/archive/debian/20260101T000000Z/`), error => {
      assert.ok(error instanceof KstitchError && error.code === 'kit-lists-failed');
      assert.match(error.notes.join('\n'), /does not have a Release file|is not signed/);
      return true;
    });
  });
});

test('a real-time kernel is built with patches that the source package of its version has', async () => {
  const rt = '6.1.0-55-rt-amd64';
  const offers: readonly Offer[] = [
    { name: `linux-image-${rt}`, version },
    {
      name: `linux-headers-${rt}`,
      version,
      source: 'linux',
      depends: `linux-headers-6.1.0-55-common-rt (= ${version}), linux-kbuild-6.1 (>= 6.1.190-1)`,
    },
    { name: 'linux-headers-6.1.0-55-common-rt', version },
    source,
    kbuild,
  ];
  const locateRt = (sourceVersion: string) =>
    withArchive(
      offers,
      archive =>
        debian({
          snapshot: `${archive.base}/archive/debian/`,
          apt: new Apt(`archive-${archives++}`, archive.sources),
          sourceApt: new Apt(`archive-${archives++}`, archive.sources.replace('deb ', 'deb-src ')),
        }).locate(silentContext(), rt),
      [{ name: 'linux', version: sourceVersion }],
    );
  const { patches, commonHeaders } = await locateRt(version);
  assert.deepEqual(patches, { name: 'linux', version, size: 2, sha256: 'b'.repeat(64) });
  assert.equal(commonHeaders.name, 'linux-headers-6.1.0-55-common-rt');
  await assert.rejects(locateRt('6.1.190-1'), { code: 'kit-package-gone' });
});

test('a real-time kernel whose name does not tell its Debian release is refused', async () => {
  const rt = '6.6.0-1-rt-amd64';
  const offers: readonly Offer[] = [
    { name: `linux-image-${rt}`, version: '6.6.9-1' },
    {
      name: `linux-headers-${rt}`,
      version: '6.6.9-1',
      source: 'linux',
      depends: 'linux-headers-6.6.0-1-common-rt, linux-kbuild-6.6',
    },
    { name: 'linux-headers-6.6.0-1-common-rt', version: '6.6.9-1' },
    { name: 'linux-kbuild-6.6', version: '6.6.9-1' },
    { name: 'linux-source-6.6', version: '6.6.9-1' },
  ];
  const located = withArchive(offers, archive =>
    debian({ apt: new Apt(`archive-${archives++}`, archive.sources) }).locate(silentContext(), rt),
  );
  await assert.rejects(located, { code: 'kit-flavour-unsupported' });
});

test('a kernel of another Debian release is not one that the archive dropped', async () => {
  const offers: readonly Offer[] = [
    { name: 'linux-image-6.12.117+deb12-cloud-amd64', version: '6.12.117-1' },
  ];
  const located = withArchive(offers, archive =>
    debian({ apt: new Apt(`archive-${archives++}`, archive.sources) }).locate(
      silentContext(),
      '6.12.111+deb13-cloud-amd64',
    ),
  );
  await assert.rejects(located, { code: 'kit-release-unknown' });
});
