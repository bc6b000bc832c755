import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { run } from '@kstitch/host/run';
import { applyFlavourPatches } from './apply-flavour-patches.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-flavour-test-'));
after(() => rm(work, { recursive: true }));
const { signal } = new AbortController();

const first = '--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,2 @@\n one\n-two\n+zwei\n';
const second = '--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,2 @@\n one\n-zwei\n+deux\n';

/** @returns the source, and what applying the series to it comes to */
async function apply(
  name: string,
  series: string,
  folder = 'patches-rt',
  more: Readonly<Record<string, string>> = {},
): Promise<[string, Promise<void>]> {
  const parts = join(work, name, 'debian', folder);
  await mkdir(parts, { recursive: true });
  await writeFile(join(parts, 'series'), series);
  await writeFile(join(parts, 'first.patch'), first);
  await writeFile(join(parts, 'second.patch'), second);
  for (const [file, text] of Object.entries(more)) await writeFile(join(parts, file), text);
  const archive = join(work, `${name}.tar.xz`);
  await run('tar', ['--create', '--xz', '--file', archive, '--directory', join(work, name), 'debian']);
  const tree = join(work, `${name}-tree`);
  await mkdir(tree);
  await writeFile(join(tree, 'a.c'), 'one\ntwo\n');
  return [tree, applyFlavourPatches(archive, 'rt', tree, signal)];
}

test('the patches of a series are applied in its order, and nothing is left of them', async () => {
  const [tree, done] = await apply('good', '# comment\n\nfirst.patch\nsecond.patch\n');
  await done;
  assert.equal(await readFile(join(tree, 'a.c'), 'utf8'), 'one\ndeux\n');
  assert.deepEqual(await readdir(tree), ['a.c']);
  assert.ok(!(await readdir(work)).includes('good-tree.patches'));
});

test('a patch that does not fit, or only with fuzz, is refused', async () => {
  const [, wrongOrder] = await apply('order', 'second.patch\nfirst.patch\n');
  await assert.rejects(wrongOrder, { code: 'kit-prepare-failed', message: /second\.patch/ });
  // patch itself would take it: what surrounds the change may differ in its outermost line.
  const fuzzy = '--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,2 @@\n eins\n-two\n+zwei\n';
  const [tree, fuzz] = await apply('fuzz', 'fuzzy.patch\n', 'patches-rt', { 'fuzzy.patch': fuzzy });
  await assert.rejects(fuzz, { code: 'kit-prepare-failed', message: /fuzzy\.patch/ });
  const input = join(work, 'fuzz/debian/patches-rt/fuzzy.patch');
  await run('patch', ['--strip=1', '--directory', tree, '--input', input]);
  assert.equal(await readFile(join(tree, 'a.c'), 'utf8'), 'one\nzwei\n');
});

test('an archive without such patches, or with a series that leads out of it, is refused', async () => {
  const [, other] = await apply('other', 'first.patch\n', 'patches');
  await assert.rejects(other, { code: 'kit-package-unexpected' });
  const [, outside] = await apply('outside', '../../etc/passwd\n');
  await assert.rejects(outside, { code: 'kit-package-unexpected' });
});
