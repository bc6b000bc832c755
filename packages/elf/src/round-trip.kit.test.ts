import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { withoutFileOffsets } from '@kstitch/testkit/compile';
import { compiledUnits, testKit } from '@kstitch/testkit/kit';
import { editElf } from './edit.ts';
import { readElf } from './read.ts';
import { writeElf } from './write.ts';

test('every shipped module is the same to readelf when read and written again', async () => {
  const { modulesDirectory } = await testKit();
  const names = await readdir(modulesDirectory, { recursive: true });
  const modules = names.filter(name => name.endsWith('.ko')).map(name => join(modulesDirectory, name));
  assert.ok(modules.length > 500, `only ${modules.length} modules below ${modulesDirectory}`);
  await expectSame(modules);
});

test('200 compiled units are the same to readelf when read and written again', async () => {
  const units = await compiledUnits(200);
  assert.equal(units.length, 200);
  await expectSame(units);
});

async function expectSame(paths: readonly string[]): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'kstitch-round-trip-'));
  const differing: string[] = [];
  const pending = [...paths];
  try {
    // readelf takes most of the time, so one of it for each core.
    const work = async (worker: number) => {
      const rewritten = join(directory, String(worker));
      for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
        const file = readElf(await readFile(path), basename(path));
        await writeFile(rewritten, writeElf(editElf(file).builder));
        const [original, again] = await Promise.all([readelf(path), readelf(rewritten)]);
        if (original !== again && withoutFileOffsets(original) !== withoutFileOffsets(again)) {
          differing.push(`${path}: ${firstDifference(original, again)}`);
        }
      }
    };
    await Promise.all(Array.from({ length: availableParallelism() }, (_, worker) => work(worker)));
  } finally {
    await rm(directory, { recursive: true });
  }
  assert.deepEqual(differing, [], `${differing.length} of ${paths.length} files differ`);
}

async function readelf(path: string): Promise<string> {
  const options = { encoding: 'latin1', maxBuffer: 2 ** 30, env: { ...process.env, LC_ALL: 'C' } } as const;
  const { stdout, stderr } = await promisify(execFile)('readelf', ['-hSsrgW', path], options);
  return stdout + stderr.replaceAll(path, 'file');
}

function firstDifference(original: string, again: string): string {
  const left = withoutFileOffsets(original).split('\n');
  const right = withoutFileOffsets(again).split('\n');
  const at = left.findIndex((line, index) => line !== right[index]);
  return `line ${at + 1}: ${left[at]} | ${right[at]}`;
}
