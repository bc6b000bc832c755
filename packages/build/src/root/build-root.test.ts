/** A root of three small packages: how it is made, and what becomes of one that was killed in the making. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import type { PackageInfo } from '../kit/distribution.ts';
import { makeRootOf, openRoot } from './build-root.ts';

const work = mkdtempSync(join(tmpdir(), 'kstitch-root-test-'));
process.env['KSTITCH_CACHE'] = join(work, 'cache');
after(() => rmSync(work, { recursive: true, force: true }));

function makePackage(name: string, file: string): { readonly path: string; readonly info: PackageInfo } {
  const folder = join(work, name);
  mkdirSync(join(folder, 'DEBIAN'), { recursive: true });
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  chmodSync(join(folder, 'DEBIAN'), 0o755);
  writeFileSync(join(folder, file), name);
  writeFileSync(
    join(folder, 'DEBIAN/control'),
    `Package: ${name}\nVersion: 1\nArchitecture: all\nMaintainer: t\nDescription: t\n`,
  );
  const path = `${folder}.deb`;
  execFileSync('dpkg-deb', ['--root-owner-group', '--build', folder, path], { stdio: 'ignore' });
  const bytes = readFileSync(path);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { path, info: { name, version: '1', size: bytes.length, sha256 } };
}

const packages = [
  makePackage('gcc-14', 'usr/bin/gcc-14'),
  makePackage('make', 'usr/bin/make'),
  makePackage('sed', 'usr/bin/sed'),
];
const contents = { suite: 'trixie', packages: packages.map(({ info }) => info) };
const paths = packages.map(({ path }) => path);
const roots = join(work, 'cache/roots');

test('a root that was killed half-made is none; the next run clears it away and makes it whole', async () => {
  // Killed by itself between two packages: no handler runs, no file is closed.
  const script = `
    import { makeRootOf } from ${JSON.stringify(import.meta.resolve('./build-root.ts'))};
    const progress = {
      step: (label, work) => work(detail => detail === '2 of 3' && process.kill(process.pid, 'SIGKILL')),
      note: () => {},
    };
    const context = { progress, signal: new AbortController().signal, diagnostics: [] };
    await makeRootOf(context, ${JSON.stringify(contents)}, () => Promise.resolve(${JSON.stringify(paths)}));`;
  const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
  assert.equal(signal, 'SIGKILL');
  const [left = '', ...more] = readdirSync(roots);
  assert.deepEqual(more, []);
  assert.match(left, /^\.trixie-[0-9a-f]{16}\..*\.partial$/);
  // make is there already: it is the name that tells a root.
  assert.equal(readFileSync(join(roots, left, 'usr/bin/make'), 'utf8'), 'make');
  assert.equal(await openRoot(contents), undefined);

  const root = await makeRootOf(silentContext(), contents, () => Promise.resolve(paths));
  assert.deepEqual(
    readdirSync(roots).map(name => join(roots, name)),
    [root.directory],
  );
  for (const { info } of packages)
    assert.equal(readFileSync(join(root.directory, 'usr/bin', info.name), 'utf8'), info.name);
  // From then on it is opened, and nothing is asked for.
  const again = await makeRootOf(silentContext(), contents, () => Promise.reject(new Error('downloads')));
  assert.equal(again.directory, root.directory);
});

test('a package that cannot be unpacked leaves no root behind', async () => {
  writeFileSync(join(work, 'damaged.deb'), readFileSync(paths[1] ?? '').subarray(0, 300));
  const other = { ...contents, packages: contents.packages.slice(0, 2) };
  const files = [paths[0] ?? '', join(work, 'damaged.deb')];
  await assert.rejects(
    makeRootOf(silentContext(), other, () => Promise.resolve(files)),
    {
      code: 'host-tool-failed',
    },
  );
  assert.equal(readdirSync(roots).length, 1);
  assert.equal(await openRoot(other), undefined);
});
