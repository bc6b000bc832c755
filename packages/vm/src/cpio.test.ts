import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CpioEntry, directoriesFor, writeCpio } from './cpio.ts';

test('cpio lists every kind of entry as it was given', () => {
  const archive = writeCpio([
    { kind: 'directory', path: 'dev', mode: 0o700 },
    { kind: 'character-device', path: 'dev/kmsg', mode: 0o644, major: 1, minor: 11 },
    { kind: 'file', path: 'init', mode: 0o755, bytes: Buffer.from('hello') },
    { kind: 'symlink', path: 'sh', target: 'bin/busybox' },
  ]);
  const listing = execFileSync('cpio', ['-itvn', '--quiet'], {
    input: archive,
    encoding: 'utf8',
    env: { TZ: 'UTC' },
  });
  const columns = listing
    .trimEnd()
    .split('\n')
    .map(line => line.replaceAll(/ +/g, ' '));
  assert.deepEqual(columns, [
    'drwx------ 2 0 0 0 Jan 1 1970 dev',
    'crw-r--r-- 1 0 0 1, 11 Jan 1 1970 dev/kmsg',
    '-rwxr-xr-x 1 0 0 5 Jan 1 1970 init',
    'lrwxrwxrwx 1 0 0 11 Jan 1 1970 sh -> bin/busybox',
  ]);
});

test('what is put in comes out: names and contents of any length', () => {
  const name = fc.stringMatching(/^[a-zä-ü0-9_.-]{1,40}$/).filter(text => !/^\.{1,2}$/.test(text));
  const files = fc.uniqueArray(fc.tuple(name, fc.uint8Array({ maxLength: 70 })), {
    selector: ([path]) => path,
    maxLength: 8,
  });
  fc.assert(
    fc.property(files, entries => {
      const archive = writeCpio([
        { kind: 'directory', path: 'top' },
        ...entries.map(([path, bytes]): CpioEntry => ({ kind: 'file', path: `top/${path}`, bytes })),
        { kind: 'symlink', path: 'link', target: 'top' },
      ]);
      inDirectory(directory => {
        execFileSync('cpio', ['-i', '--quiet', '--no-absolute-filenames'], {
          cwd: directory,
          input: archive,
        });
        for (const [path, bytes] of entries) {
          assert.deepEqual(readFileSync(join(directory, 'top', path)), Buffer.from(bytes));
          assert.equal(statSync(join(directory, 'top', path)).mode & 0o777, 0o644);
        }
        assert.equal(readlinkSync(join(directory, 'link')), 'top');
      });
    }),
    { numRuns: 25 },
  );
});

test('equal entries are equal bytes', () => {
  const entries: CpioEntry[] = [{ kind: 'file', path: 'a', bytes: Buffer.from('x') }];
  assert.deepEqual(writeCpio(entries), writeCpio(structuredClone(entries)));
});

test('a path that the kernel would drop is refused', () => {
  const file = (path: string): CpioEntry => ({ kind: 'file', path, bytes: new Uint8Array(0) });
  for (const path of ['', '/init', 'a/../b', './a', 'a//b', 'a\0b']) {
    assert.throws(() => writeCpio([file(path)]), /is not a path below the root/, path);
  }
  assert.throws(() => writeCpio([file('dev/null')]), /'dev\/null' comes before its directory/);
  assert.throws(() => writeCpio([file('a'), file('a')]), /'a' stands twice/);
  assert.throws(() => writeCpio([file('a'.repeat(4096))]), /more than 4095 bytes/);
});

test('directories come before what lies in them, each once', () => {
  const paths = directoriesFor(['a/b/c', 'a/d', 'e']).map(({ path }) => path);
  assert.deepEqual(paths, ['a', 'a/b']);
});

function inDirectory(work: (directory: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
  try {
    work(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
