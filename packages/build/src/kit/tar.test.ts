import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { maxTarFile, TarReader, tarEnd, tarHeader, tarPadding } from './tar.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-tar-test-'));
after(() => rm(work, { recursive: true, force: true }));

/** @returns the names in an archive, its contents, and its digest */
async function read(bytes: Uint8Array) {
  const path = join(work, 'read.tar');
  await writeFile(path, bytes);
  const file = await open(path);
  try {
    const reader = new TarReader(file, 'read.tar');
    const found: [string, string][] = [];
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      const chunks: Buffer[] = [];
      for await (const chunk of reader.contents(entry)) chunks.push(chunk);
      found.push([entry.name, Buffer.concat(chunks).toString()]);
    }
    return { found, digest: reader.digest() };
  } finally {
    await file.close();
  }
}

/** A header with one field changed, and its sum right. */
function edited(at: number, text: string): Uint8Array {
  const header = Buffer.from(tarHeader('a', 3));
  header.write(text, at, 'latin1');
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

const body = Buffer.concat([Buffer.from('abc'), tarPadding(3)]);

test('what is written is read again, with the digest of the whole', async () => {
  const bytes = Buffer.concat([tarHeader('a', 3), body, tarHeader('b/c', 0), tarEnd]);
  assert.deepEqual(await read(bytes), {
    found: [
      ['a', 'abc'],
      ['b/c', ''],
    ],
    digest: createHash('sha256').update(bytes).digest('hex'),
  });
  // The sum and the fields are where tar looks for them.
  assert.ok(Buffer.from(edited(0, 'a')).equals(tarHeader('a', 3)));
});

test('an entry that is no plain file, or has a prefix before its name, is refused', async () => {
  for (const [what, at, text] of [
    ['link', 156, '1'],
    ['symbolic link', 156, '2'],
    ['folder', 156, '5'],
    ['long name of GNU', 156, 'L'],
    ['pax header', 156, 'x'],
    ['old plain file', 156, '\0'],
    ['prefix', 345, '..'],
  ] as const)
    await assert.rejects(
      read(Buffer.concat([edited(at, text), body, tarEnd])),
      { code: 'kit-archive-damaged', message: "read 'read.tar': 'a' is no plain file of a short name" },
      what,
    );
});

test('bytes behind the end are refused', async () => {
  const bytes = Buffer.concat([tarHeader('a', 3), body, tarEnd]);
  // As tar itself fills it up, too.
  for (const more of [Buffer.from([0]), Buffer.from('x'), Buffer.alloc(512)])
    await assert.rejects(read(Buffer.concat([bytes, more])), {
      code: 'kit-archive-damaged',
      message: /something stands behind its end/,
    });
  const half = Buffer.concat([tarHeader('a', 3), body, Buffer.alloc(512), Buffer.alloc(512, 1)]);
  await assert.rejects(read(half), { code: 'kit-archive-damaged', message: /behind its end/ });
});

test('a file larger than any package is neither written nor read', async () => {
  const size = (maxTarFile + 1).toString(8).padStart(11, '0');
  await assert.rejects(read(Buffer.concat([edited(124, `${size}\0`), body, tarEnd])), {
    code: 'kit-archive-damaged',
    message: `read 'read.tar': 'a' has ${maxTarFile + 1} bytes, more than ${maxTarFile}`,
  });
  assert.throws(() => tarHeader('a', maxTarFile + 1), RangeError);
  assert.equal(tarHeader('a', maxTarFile).length, 512);
});

test('GNU tar reads it, and what GNU tar wrote as ustar is read up to its own filling', async () => {
  const path = join(work, 'own.tar');
  await writeFile(path, Buffer.concat([tarHeader('a', 3), body, tarEnd]));
  assert.equal(execFileSync('tar', ['--list', '--file', path], { encoding: 'utf8' }), 'a\n');
  await writeFile(join(work, 'a'), 'abc');
  const options = ['--create', '--format=ustar', '--blocking-factor=4', '--directory', work, 'a'];
  assert.deepEqual((await read(execFileSync('tar', options))).found, [['a', 'abc']]);
});
