import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { indexCompileDatabase } from '../compile/compile-database.ts';
import { thisMachine } from '../root/workshop.ts';
import { openSourceIndex } from './source-index.ts';

const root = await mkdtemp(join(tmpdir(), 'kstitch-index-'));
after(() => rm(root, { recursive: true }));
process.env['KSTITCH_CACHE'] = join(root, 'cache');

const tree = join(root, 'tree');
const files: Readonly<Record<string, string>> = {
  'fs/a.c': '#include <linux/a.h>\n',
  'fs/not-built.c': '#include <linux/a.h>\n',
  'include/linux/a.h': '#include "b.h"\nint __weak soft(void);\n',
  'include/linux/b.h': '',
  'include/linux/kconfig.h': '',
  'arch/arm64/include/linux/a.h': '#include <linux/kconfig.h>\n',
  'kernel/.bounds.s.cmd': 'cmd_kernel/bounds.s := gcc -S -o kernel/bounds.s kernel/bounds.c\n',
};
for (const [path, text] of Object.entries(files)) {
  await mkdir(dirname(join(tree, path)), { recursive: true });
  await writeFile(join(tree, path), text);
}
const kit = { release: '6.1.0-x', packageVersion: 'v', workshop: thisMachine, paths: { tree, units: '' } };
const database = indexCompileDatabase(
  'fs/a.o\t\tgcc -include ./include/linux/kconfig.h -D__KERNEL__ -c -o fs/a.o fs/a.c',
);

test('openSourceIndex() follows the units of the flavour, and what their commands include', async () => {
  const { graph, records, weakNames } = await openSourceIndex(silentContext(), kit, database);
  assert.deepEqual(graph.includersOf('include/linux/b.h'), ['include/linux/a.h', 'fs/a.c']);
  assert.deepEqual(graph.includersOf('include/linux/kconfig.h'), ['fs/a.c']);
  assert.deepEqual(
    records.map(record => record.target),
    ['kernel/bounds.s'],
  );
  assert.deepEqual(weakNames, new Set(['soft']));
});

test('openSourceIndex() reads the source of a kit once, and again where what it kept is damaged', async () => {
  const folder = join(root, 'cache', 'source-index');
  const [name = ''] = await readdir(folder);
  await writeFile(join(tree, 'fs/a.c'), '');
  const kept = await openSourceIndex(silentContext(), kit, database);
  assert.deepEqual(kept.graph.includersOf('include/linux/a.h'), ['fs/a.c']);

  for (const damage of [
    '',
    '{"paths":["fs/a.c"],"includes":[],"records":[],"weakNames":[]}',
    '{"paths":1}',
  ]) {
    await writeFile(join(folder, name), damage);
    const { graph } = await openSourceIndex(silentContext(), kit, database);
    assert.deepEqual(graph.includersOf('include/linux/a.h'), [], damage);
  }
});

test('openSourceIndex() stops at an interrupt', async () => {
  const signal = AbortSignal.abort();
  await assert.rejects(openSourceIndex(silentContext(signal), { ...kit, release: 'other' }, database), {
    code: 'interrupted',
  });
});
