import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Code } from '@kstitch/report/catalogue';
import { parsePatch } from './parse-patch.ts';

const hunk = '@@ -1,2 +1,2 @@\n one\n-two\n+2\n';
const patch = `--- a/fs/a.c\n+++ b/fs/a.c\n${hunk}`;
const parse = (bytes: string | Uint8Array) => parsePatch({ name: 'fix.patch', bytes: Buffer.from(bytes) });

function refused(bytes: string | Uint8Array, code: Code, message: RegExp): void {
  assert.throws(() => parse(bytes), { code, message });
}

test('a patch with CR LF is refused with its lines; a CR in a line of the source is none', () => {
  refused(patch.replaceAll('\n', '\r\n'), 'patch-crlf', /6 of 6 lines end in CR LF, line 1 is the first$/);
  refused(patch.replace('@@\n', '@@\r\n'), 'patch-crlf', /1 of 6 lines end in CR LF, line 3 is the first$/);
  assert.equal(parse(patch.replace('two\n', 'two\r\n')).files[0]?.hunks[0]?.lines[1]?.text, 'two\r\n');
});

test('NUL bytes are refused, wherever they are', () => {
  refused(`${patch}\0\0\0`, 'patch-not-text', /line 7 has a NUL byte; 3 of them end the file$/);
  refused(patch.replace('two', 't\0o'), 'patch-not-text', /line 5 has a NUL byte$/);
  refused(Buffer.from(`\ufeff${patch}`, 'utf16le'), 'patch-not-text', /saved as UTF-16$/);
});

test('a mail that is encoded for transport is refused, one that quotes such a line is not', () => {
  const mail = (encoding: string, body: string) =>
    `From 1 Mon Sep 17 00:00:00 2001\nSubject: [PATCH] x\nContent-Transfer-Encoding: ${encoding}\n\n${body}`;
  refused(mail('quoted-printable', patch), 'patch-encoded-mail', /line 3 .* quoted-printable$/);
  refused(mail('BASE64', 'LS0tIGEvZnMvYS5j\n'), 'patch-encoded-mail', /line 3 .* base64$/);
  assert.equal(parse(mail('8bit', patch)).files.length, 1);
  assert.equal(parse(`${patch}Content-Transfer-Encoding: base64\n`).files.length, 1);
});

test('diffs of another kind are called what they are', () => {
  refused(
    'diff --cc fs/a.c\nindex 1,2..3\n--- a/fs/a.c\n+++ b/fs/a.c\n@@@ -1,1 -1,1 +1,1 @@@\n- a\n -b\n++c\n',
    'patch-not-unified',
    /line 1 begins a combined diff$/,
  );
  refused(
    '*** a/fs/a.c\n--- b/fs/a.c\n***************\n*** 1,2 ****\n! one\n--- 1,2 ----\n! two\n',
    'patch-not-unified',
    /line 1 begins a context diff$/,
  );
});

test('links, submodules and modes have a code each', () => {
  refused(
    'diff --git a/x b/x\nnew file mode 120000\nindex 0..1\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+fs\n',
    'patch-special-file',
    /'x' is a symbolic link$/,
  );
  refused(
    'diff --git a/x b/x\nindex 12ab..34cd 160000\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-Subproject 1\n+Subproject 2\n',
    'patch-special-file',
    /'x' is a submodule$/,
  );
  const mode = 'diff --git a/fs/x b/fs/x\nold mode 100644\nnew mode 100755\n';
  refused(mode, 'patch-mode-only', /changes the mode of 'fs\/x', and no contents$/);
  assert.deepEqual(
    parse(mode + patch).files.map(({ path }) => path),
    ['fs/a.c'],
  );
});
