import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import fc from 'fast-check';
import { thisMachine } from '../root/workshop.ts';
import { applyPatches } from './apply-patch.ts';

const root = await mkdtemp(join(tmpdir(), 'kstitch-apply-'));
after(() => rm(root, { recursive: true }));

async function tree(files: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(root, 'tree-'));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return {
    release: '6.1.0-x',
    packageVersion: '6.1.1-1',
    workshop: thisMachine,
    paths: { tree: folder, units: '' },
  };
}

async function apply(files: Readonly<Record<string, string>>, ...patches: readonly string[]) {
  const context = silentContext();
  const kit = await tree(files);
  const result = await applyPatches(
    context,
    kit,
    patches.map((text, index) => ({ name: `${index + 1}.patch`, bytes: Buffer.from(text) })),
  );
  return { ...result, context };
}

const header = '--- a/fs/a.c\n+++ b/fs/a.c\n';
const alphabet = 'abcdefghijklmnopqrstuvwxyz'.split('').map(letter => `${letter}\n`);
const fsA = alphabet.join('');

test('applyPatches() applies a hunk where it says', async () => {
  const { files, patches, context } = await apply(
    { 'fs/a.c': fsA },
    `${header}@@ -2,3 +2,4 @@\n b\n-c\n+C\n+CC\n d\n`,
  );
  assert.equal(files.length, 1);
  assert.equal(files[0]?.after, fsA.replace('c\n', 'C\nCC\n'));
  assert.equal(files[0]?.before, fsA);
  assert.deepEqual(files[0]?.blocks, [{ beforeStart: 3, beforeCount: 1, afterStart: 3, afterCount: 2 }]);
  assert.match(patches[0]?.sha256 ?? '', /^[0-9a-f]{64}$/);
  assert.deepEqual(context.diagnostics, []);
});

test('applyPatches() takes an offset and notes it, also for the hunks after it', async () => {
  const text = `1\n2\n3\n${fsA}`;
  const { files, context } = await apply(
    { 'fs/a.c': text },
    `${header}@@ -2,3 +2,3 @@\n b\n-c\n+C\n d\n@@ -10,3 +10,3 @@\n j\n-k\n+K\n l\n`,
  );
  assert.equal(files[0]?.after, text.replace('c\n', 'C\n').replace('k\n', 'K\n'));
  assert.deepEqual(
    context.diagnostics.map(d => d.code),
    ['patch-offset', 'patch-offset'],
  );
  assert.match(context.diagnostics[0]?.text ?? '', /hunk 1 applied at line 5, 3 lines below/);
});

test('applyPatches() takes the nearest of several places and says how many there are', async () => {
  const text = `${fsA}${fsA}${fsA}`;
  const { files, context } = await apply({ 'fs/a.c': text }, `${header}@@ -30,3 +30,3 @@\n b\n-c\n+C\n d\n`);
  assert.equal(files[0]?.after?.indexOf('C'), text.indexOf('c', 52));
  assert.match(context.diagnostics[0]?.notes[0] ?? '', /3 places/);
});

test('applyPatches() refuses fuzz and shows the line that differs', async () => {
  await assert.rejects(
    apply({ 'fs/a.c': fsA }, `${header}@@ -2,5 +2,5 @@\n X\n c\n-d\n+D\n e\n f\n`),
    (error: KstitchError) => {
      assert.equal(error.code, 'patch-has-fuzz');
      assert.match(error.message, /hunk 1 fits 'fs\/a.c' at line 2 only with fuzz 1/);
      assert.deepEqual(error.notes, ["fs/a.c:2: the patch expects 'X'", "fs/a.c:2: there stands      'b'"]);
      return true;
    },
  );
});

test('applyPatches() refuses lines with CR LF in a file without, and takes them in a file with', async () => {
  const crlf = '--- a/f.c\n+++ b/f.c\n@@ -1,2 +1,3 @@\n one\n+1.5\r\n two\n';
  await assert.rejects(apply({ 'f.c': 'one\ntwo\n' }, crlf), {
    code: 'patch-crlf',
    message: "apply '1.patch': 1 of 3 lines of hunk 1 end in CR LF, and no line of 'f.c' does",
  });
  const { files } = await apply({ 'f.c': 'one\ntwo\nthree\r\n' }, crlf);
  assert.equal(files[0]?.after, 'one\n1.5\r\ntwo\nthree\r\n');
});

test('applyPatches() names the first hunk that does not fit, and what stands there', async () => {
  const patch = `${header}@@ -2,3 +2,3 @@\n b\n-c\n+C\n d\n@@ -10,5 +10,5 @@\n jj jj\n kk\n-lll lll\n+L\n mm\n nn\n`;
  const text = fsA.replace('j\n', 'jj jj\n').replace('l\n', 'other line\n');
  await assert.rejects(apply({ 'fs/a.c': text }, patch), (error: KstitchError) => {
    assert.equal(error.code, 'patch-does-not-apply');
    assert.match(error.message, /hunk 2 does not fit 'fs\/a.c' at line 10/);
    assert.match(
      error.notes.join('\n'),
      /fs\/a.c:11: the patch expects 'kk'\nfs\/a.c:11: there stands {6}'k'/,
    );
    return true;
  });
});

test('applyPatches() says that the fix is in already', async () => {
  const patch = `${header}@@ -2,3 +2,3 @@\n b\n-c\n+C\n d\n--- /dev/null\n+++ b/fs/n.c\n@@ -0,0 +1 @@\n+n\n`;
  await assert.rejects(apply({ 'fs/a.c': fsA.replace('c\n', 'C\n'), 'fs/n.c': 'n\n' }, patch), {
    code: 'patch-already-applied',
    message: /6\.1\.0-x contains it already/,
  });
});

test('applyPatches() applies patches on top of each other', async () => {
  const { files } = await apply(
    { 'fs/a.c': fsA },
    `${header}@@ -2,2 +2,2 @@\n b\n-c\n+C\n`,
    `${header}@@ -3,2 +3,2 @@\n-C\n+3\n d\n`,
  );
  assert.equal(files[0]?.after, fsA.replace('c\n', '3\n'));
});

test('applyPatches() leaves out a file that a later patch restores', async () => {
  const { files } = await apply(
    { 'fs/a.c': fsA },
    `${header}@@ -2,2 +2,2 @@\n b\n-c\n+C\n`,
    `${header}@@ -2,2 +2,2 @@\n b\n-C\n+c\n`,
  );
  assert.deepEqual(files, []);
});

test('applyPatches() creates and removes files', async () => {
  const { files } = await apply(
    { 'fs/a.c': 'a\n' },
    '--- /dev/null\n+++ b/fs/n/n.c\n@@ -0,0 +1 @@\n+n\n--- a/fs/a.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n',
  );
  assert.deepEqual(
    files.map(({ path, before, after: now }) => [path, before, now]),
    [
      ['fs/a.c', 'a\n', undefined],
      ['fs/n/n.c', undefined, 'n\n'],
    ],
  );
});

test('applyPatches() keeps the end of a file without a newline', async () => {
  const { files } = await apply(
    { 'fs/a.c': 'a\nb' },
    `${header}@@ -1,2 +1,2 @@\n-a\n+A\n b\n\\ No newline at end of file\n`,
  );
  assert.equal(files[0]?.after, 'A\nb');
});

test('applyPatches() refuses missing and existing files', async () => {
  await assert.rejects(apply({}, `${header}@@ -1 +1 @@\n-a\n+b\n`), { code: 'patch-file-missing' });
  await assert.rejects(apply({ 'fs/a.c': 'z\n' }, '--- /dev/null\n+++ b/fs/a.c\n@@ -0,0 +1 @@\n+n\n'), {
    code: 'patch-file-exists',
  });
  await assert.rejects(apply({ 'fs/a.c': 'a\nb\n' }, `--- a/fs/a.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n`), {
    code: 'patch-does-not-apply',
  });
});

test('applyPatches() makes of a file what diff -u says, for random texts', async () => {
  const line = fc.constantFrom('a', 'b', '{', '}', '', '\treturn 0;');
  const text = fc
    .tuple(fc.array(line, { maxLength: 30 }), fc.boolean())
    .map(([lines, ended]) => lines.join('\n') + (ended && lines.length > 0 ? '\n' : ''));
  await fc.assert(
    fc.asyncProperty(text, text, async (before, now) => {
      fc.pre(before !== now && before !== '' && now !== '');
      const folder = await mkdtemp(join(root, 'diff-'));
      await writeFile(join(folder, 'before'), before);
      await writeFile(join(folder, 'after'), now);
      const diff = spawnSync(
        'diff',
        ['-u', '--label', 'a/fs/a.c', '--label', 'b/fs/a.c', 'before', 'after'],
        { cwd: folder },
      );
      const { files } = await apply({ 'fs/a.c': before }, diff.stdout.toString());
      assert.equal(files[0]?.after, await readFile(join(folder, 'after'), 'latin1'));
    }),
    { numRuns: 60 },
  );
});
