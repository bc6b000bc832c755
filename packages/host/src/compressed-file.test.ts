import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { missingOf } from '@kstitch/testkit/compile';
import { readPerhapsCompressed } from './compressed-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'kstitch-compressed-'));
after(() => rmSync(directory, { recursive: true }));

test('readPerhapsCompressed() reads a file, or the compressed one that stands for it', async () => {
  for (const [tool, ending] of [
    ['xz', '.xz'],
    ['gzip', '.gz'],
  ] as const) {
    const path = join(directory, `${tool}.ko`);
    writeFileSync(`${path}${ending}`, execFileSync(tool, ['-c'], { input: `made by ${tool}` }));
    assert.equal(Buffer.from(await readPerhapsCompressed(path)).toString(), `made by ${tool}`);
  }
  const plain = join(directory, 'plain.ko');
  writeFileSync(plain, 'plain');
  assert.equal(Buffer.from(await readPerhapsCompressed(plain)).toString(), 'plain');
});

test('readPerhapsCompressed() reads what zstd compressed', { skip: missingOf('zstd') }, async () => {
  const path = join(directory, 'zstd.ko');
  writeFileSync(`${path}.zst`, zstdCompressSync('made by zstd'));
  assert.equal(Buffer.from(await readPerhapsCompressed(path)).toString(), 'made by zstd');
});

test('readPerhapsCompressed() names the file that is not there', async () => {
  await assert.rejects(readPerhapsCompressed(join(directory, 'absent.ko')), {
    code: 'host-file-failed',
    message: /absent\.ko': no such file/,
  });
});
