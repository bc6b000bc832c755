import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ResultStore } from './result-store.ts';

const root = await mkdtemp(join(tmpdir(), 'kstitch-store-'));
after(() => rm(root, { recursive: true }));
const open = (path: string) => ResultStore.open<{ file: string; n: number }>(path, ({ file }) => file);

test('ResultStore goes on behind a line that was cut short', async () => {
  const path = join(root, 'results.jsonl');
  await writeFile(path, '{"file":"a.c","n":1}\n{"file":"a.c","n":2}\n{"file":"b.c","n');
  const store = await open(path);
  assert.equal(store.get('a.c')?.n, 2);
  assert.equal(store.get('b.c'), undefined);
  await store.add({ file: 'b.c', n: 3 });
  assert.equal((await open(path)).get('b.c')?.n, 3);
});

test('ResultStore writes each result at once, as one line', async () => {
  const path = join(root, 'new.jsonl');
  const store = await open(path);
  await store.add({ file: 'a.c', n: 1 });
  assert.equal(await readFile(path, 'utf8'), '{"file":"a.c","n":1}\n');
  await appendFile(path, '');
  assert.equal((await open(path)).get('a.c')?.n, 1);
});

test('ResultStore knows which of several keys came last', async () => {
  const path = join(root, 'last.jsonl');
  const store = await open(path);
  for (const [file, n] of [
    ['a 1', 1],
    ['a 2', 2],
    ['b 3', 3],
    ['a 1', 4],
  ] as const)
    await store.add({ file, n });
  for (const each of [store, await open(path)]) {
    assert.equal(each.newest('a ')?.n, 4);
    assert.equal(each.newest('b ')?.n, 3);
    assert.equal(each.newest('c '), undefined);
  }
});
