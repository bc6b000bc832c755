import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Code } from '@kstitch/report/catalogue';
import { maxPatchFiles, maxPatchSize, parsePatch } from './parse-patch.ts';

const parse = (text: string) => parsePatch({ name: 'fix.patch', bytes: Buffer.from(text) });
const hunk = '@@ -1,2 +1,2 @@\n one\n-two\n+2\n';

function refused(text: string, code: Code, message: RegExp): void {
  assert.throws(() => parse(text), { code, message });
}

test('parsePatch() reads git patches within a mail', () => {
  const patch = parse(
    `From 1 Mon Sep 17 00:00:00 2001\nSubject: [PATCH] x\n\n---\n fs/a.c | 2 +-\n\ndiff --git a/fs/a.c b/fs/a.c\nindex 1..2 100644\n--- a/fs/a.c\n+++ b/fs/a.c\n${hunk}-- \n2.39.2\n`,
  );
  assert.equal(patch.files.length, 1);
  assert.deepEqual(patch.files[0], {
    path: 'fs/a.c',
    change: 'modify',
    hunks: [
      {
        oldStart: 1,
        lines: [
          { kind: 'context', text: 'one\n' },
          { kind: 'remove', text: 'two\n' },
          { kind: 'add', text: '2\n' },
        ],
      },
    ],
  });
});

test('parsePatch() reads plain diffs of several files, with times in their headers', () => {
  const patch = parse(
    `--- linux-6.1.orig/fs/a.c\t2026-11-14 10:29:00 +0000\n+++ linux-6.1/fs/a.c\t2026-11-15 10:29:00 +0000\n${hunk}--- linux-6.1.orig/mm/b.c\n+++ linux-6.1/mm/b.c\n${hunk}`,
  );
  assert.deepEqual(
    patch.files.map(file => file.path),
    ['fs/a.c', 'mm/b.c'],
  );
});

test('parsePatch() tells new and removed files', () => {
  const patch = parse(
    '--- /dev/null\n+++ b/fs/new.c\n@@ -0,0 +1 @@\n+x\n--- a/fs/old.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n',
  );
  assert.deepEqual(
    patch.files.map(({ path, change }) => [path, change]),
    [
      ['fs/new.c', 'create'],
      ['fs/old.c', 'delete'],
    ],
  );
});

test('parsePatch() keeps a missing newline at the end of the file', () => {
  const patch = parse('--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+y\n');
  assert.deepEqual(patch.files[0]?.hunks[0]?.lines, [
    { kind: 'remove', text: 'x' },
    { kind: 'add', text: 'y\n' },
  ]);
});

test('parsePatch() keeps bytes that are no UTF-8', () => {
  const bytes = Buffer.concat([
    Buffer.from('--- a/f/a\n+++ b/f/a\n@@ -1 +1 @@\n-'),
    Buffer.from([0xe9, 0x0a]),
    Buffer.from('+e\n'),
  ]);
  assert.equal(parsePatch({ name: 'x', bytes }).files[0]?.hunks[0]?.lines[0]?.text, '\u00e9\n');
});

test('parsePatch() passes over a change of the mode alone', () => {
  refused(
    'diff --git a/fs/a.c b/fs/a.c\nold mode 100644\nnew mode 100755\n',
    'patch-mode-only',
    /changes the mode of 'fs\/a\.c', and no contents$/,
  );
});

test('parsePatch() refuses what is no patch', () => {
  refused('', 'patch-empty', /no unified diff/);
  refused('Dear all,\n\nplease apply.\n', 'patch-empty', /no unified diff/);
});

test('parsePatch() refuses a hunk whose lines do not add up', () => {
  refused(
    '--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,3 +1,2 @@\n one\n-two\n',
    'patch-malformed',
    /line 3: the hunk ends 1 old and 1 new lines early/,
  );
  refused(`--- a/fs/a.c\n+++ b/fs/a.c\n${hunk}+three\n`, 'patch-malformed', /more lines than its header/);
  refused(
    '--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1 +1 @@\n-a\n-b\n+c\n',
    'patch-malformed',
    /more lines than its header/,
  );
  refused('--- a/fs/a.c\n+++ b/fs/a.c\n@@ -x +1 @@\n-a\n', 'patch-malformed', /no hunk header/);
});

test('parsePatch() refuses a hunk without a file', () => {
  refused(hunk, 'patch-malformed', /no file header/);
});

for (const path of ['../x', 'a/../x', 'a/fs/../../x', '../a/x', '/etc/passwd', 'a//x', 'a/./x', 'a/f\\x']) {
  test(`parsePatch() refuses the file name '${path}'`, () => {
    refused(`--- ${path}\n+++ ${path}\n${hunk}`, 'patch-path-unsafe', /absolute|leads out/);
  });
}

test('parsePatch() refuses renames, named by git or by two names', () => {
  refused(
    'diff --git a/fs/a.c b/fs/b.c\nsimilarity index 100%\nrename from fs/a.c\nrename to fs/b.c\n',
    'patch-renames-file',
    /'fs\/a.c' to 'fs\/b.c'/,
  );
  refused(`--- a/fs/a.c\n+++ b/fs/b.c\n${hunk}`, 'patch-renames-file', /'fs\/a.c' to 'fs\/b.c'/);
});

test('parsePatch() refuses binary files', () => {
  refused(
    'diff --git a/x.gif b/x.gif\nindex 1..2 100644\nGIT binary patch\nliteral 1\nx\n',
    'patch-binary',
    /'x.gif'/,
  );
  refused(
    'diff --git a/x.gif b/x.gif\nindex 1..2 100644\nBinary files a/x.gif and b/x.gif differ\n',
    'patch-binary',
    /'x.gif'/,
  );
});

test('parsePatch() refuses what is too large', () => {
  assert.throws(() => parsePatch({ name: 'x', bytes: new Uint8Array(maxPatchSize + 1) }), {
    code: 'patch-too-large',
  });
  const many = Array.from(
    { length: maxPatchFiles + 1 },
    (_, index) => `--- a/f/${index}\n+++ b/f/${index}\n${hunk}`,
  ).join('');
  refused(many, 'patch-too-large', /1001 files/);
});
