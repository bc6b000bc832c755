import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Context, silentContext } from '@kstitch/report/context';
import { testKit } from '@kstitch/testkit/kit';
import { openImportIndex } from './import-index.ts';
import { loadKernel } from './load-kernel.ts';

const kernel = await loadKernel((await testKit()).kit);
const work = await mkdtemp(join(tmpdir(), 'kstitch-imports-test-'));
after(() => rm(work, { recursive: true, force: true }));
process.env['KSTITCH_CACHE'] = work;

/** A context that counts how often something was made. */
function counting(): Context & { readonly steps: string[] } {
  const steps: string[] = [];
  const context = silentContext();
  const step: Context['progress']['step'] = (label, run) => {
    steps.push(label);
    return run(() => {});
  };
  return { ...context, progress: { ...context.progress, step }, steps };
}

test('the index names the modules that a search of all files finds, and is made once', async () => {
  const first = counting();
  const index = await openImportIndex(first, kernel);
  assert.deepEqual(first.steps, ['read what the modules import']);
  // A symbol table has a name between two NULs, defined or not: these are vmlinux's.
  const names = ['kfree', 'crc32_le', 'no_such_name'];
  const wanted = new Map(names.map(name => [name, [] as string[]]));
  for (const [module, path] of kernel.modulePaths) {
    const bytes = await readFile(join(kernel.kit.paths.modulesDirectory, path));
    for (const name of names) if (bytes.includes(`\0${name}\0`)) wanted.get(name)?.push(module);
  }
  for (const name of names) assert.deepEqual(index.modulesImporting(name), wanted.get(name), name);
  assert.ok((wanted.get('kfree')?.length ?? 0) > 300);

  const second = counting();
  const again = await openImportIndex(second, kernel);
  assert.deepEqual(second.steps, []);
  assert.deepEqual(again.modulesImporting('crc32_le'), index.modulesImporting('crc32_le'));

  // What is damaged is made anew.
  const [name = ''] = await readdir(join(work, 'import-index'));
  await writeFile(join(work, 'import-index', name), '{"modules":["a"],"importers":{"x":[7]}}');
  const third = counting();
  assert.deepEqual((await openImportIndex(third, kernel)).modulesImporting('x'), []);
  assert.equal(third.steps.length, 1);
});
