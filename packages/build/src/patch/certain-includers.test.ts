import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { indexCompileDatabase } from '../compile/compile-database.ts';
import { findCertainIncluders } from './certain-includers.ts';
import { IncludeGraph, IncludeNames } from './include-graph.ts';
import { readIncludes } from './include-lines.ts';

const tree = await mkdtemp(join(tmpdir(), 'kstitch-certain-'));
after(() => rm(tree, { recursive: true }));

const files: Readonly<Record<string, string>> = {
  'include/linux/a.h': '',
  'include/uapi/linux/a.h': '',
  'include/linux/far.h': '#ifndef FAR_H\n#define FAR_H\n#include <linux/a.h>\n#endif\n',
  'include/x/b.h': '',
  'include/y/b.h': '',
  'include/linux/forced.h': '',
  'fs/near.c': '#include <linux/a.h>\n',
  'fs/far.c': '#include <linux/far.h>\n',
  'fs/maybe.c': '#ifdef CONFIG_X\n#include <linux/a.h>\n#endif\n',
  'fs/uapi.c': '#include <uapi/linux/a.h>\n',
  'fs/either.c': '#include <b.h>\n',
};
for (const [path, text] of Object.entries(files)) {
  await mkdir(dirname(join(tree, path)), { recursive: true });
  await writeFile(join(tree, path), text);
}
const paths = Object.keys(files);
const names = new IncludeNames(paths);
const graph = new IncludeGraph(
  paths,
  paths.map(path => [
    ...readIncludes(files[path] ?? '').flatMap(line =>
      names.resolve(path, line).map(found => paths.indexOf(found)),
    ),
    ...(path === 'fs/near.c' ? [paths.indexOf('include/linux/forced.h')] : []),
  ]),
);
const database = indexCompileDatabase(
  paths
    .filter(path => path.endsWith('.c'))
    .map(path => {
      const object = path.replace('.c', '.o');
      const forced = path === 'fs/near.c' ? '-include ./include/linux/forced.h ' : '';
      return `${object}\t\tgcc ${forced}-D__KERNEL__ -c -o ${object} ${path}`;
    })
    .join('\n'),
);

async function certain(path: string, most = 10): Promise<readonly string[]> {
  const units = await findCertainIncluders(tree, graph, database, [path], most);
  return units.map(({ source }) => source).toSorted();
}

test('a chain of lines that no configuration leaves out is certain, another is not', async () => {
  assert.deepEqual(graph.includersOf('include/linux/a.h').length, 4);
  assert.deepEqual(await certain('include/linux/a.h'), ['fs/far.c', 'fs/near.c']);
  assert.equal((await certain('include/linux/a.h', 0)).length, 1);
});

test('a name means the file that the compiler comes upon first, where that is known', async () => {
  assert.deepEqual(await certain('include/uapi/linux/a.h'), ['fs/uapi.c']);
  assert.deepEqual(await certain('include/x/b.h'), []);
});

test('what the command includes is certain', async () => {
  assert.deepEqual(await certain('include/linux/forced.h'), ['fs/near.c']);
});
