import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IncludeGraph, IncludeNames } from './include-graph.ts';

const names = new IncludeNames([
  'fs/ext4/ext4.h',
  'fs/ext4/trace.h',
  'fs/xfs/trace.h',
  'include/linux/fs.h',
  'include/uapi/linux/fs.h',
  'tools/include/linux/fs.h',
  'tools/include/linux/only.h',
  'include/linux/offs.h',
  'virt/kvm/main.h',
]);

test('IncludeNames takes a quoted name that is there beside the file, else every file of that ending', () => {
  const resolve = (from: string, name: string, quoted: boolean) => names.resolve(from, { name, quoted });
  assert.deepEqual(resolve('fs/xfs/a.c', 'trace.h', true), ['fs/xfs/trace.h']);
  assert.deepEqual(resolve('fs/xfs/a.c', '../ext4/trace.h', true), ['fs/ext4/trace.h']);
  assert.deepEqual(resolve('fs/btrfs/a.c', 'trace.h', true), ['fs/ext4/trace.h', 'fs/xfs/trace.h']);
  assert.deepEqual(resolve('fs/xfs/a.c', 'trace.h', false), ['fs/ext4/trace.h', 'fs/xfs/trace.h']);
  assert.deepEqual(resolve('fs/a.c', 'linux/fs.h', false), ['include/linux/fs.h', 'include/uapi/linux/fs.h']);
  assert.deepEqual(resolve('arch/x86/kvm/a.c', '../../../virt/kvm/main.h', true), ['virt/kvm/main.h']);
  assert.deepEqual(resolve('fs/a.c', 'nowhere.h', false), []);
});

test('IncludeNames gives the headers of tools to the kernel only where it has none of its own', () => {
  assert.deepEqual(names.resolve('fs/a.c', { name: 'linux/only.h', quoted: false }), [
    'tools/include/linux/only.h',
  ]);
  assert.equal(names.resolve('tools/a.c', { name: 'linux/fs.h', quoted: false }).length, 3);
});

test('IncludeGraph finds includers by way of others, also around circles', () => {
  const graph = new IncludeGraph(['a.c', 'b.c', 'x.h', 'y.h', 'z.h'], [[2], [4], [3], [2], []]);
  assert.deepEqual(graph.includersOf('y.h').toSorted(), ['a.c', 'x.h']);
  assert.deepEqual(graph.includersOf('z.h'), ['b.c']);
  assert.deepEqual(graph.includersOf('a.c'), []);
  assert.deepEqual(graph.includersOf('unknown.h'), []);
});

test('IncludeGraph agrees with walking forwards from each file', () => {
  const lists = fc.integer({ min: 1, max: 12 }).chain(n =>
    fc.array(fc.array(fc.integer({ min: 0, max: n - 1 }), { maxLength: 4 }), {
      minLength: n,
      maxLength: n,
    }),
  );
  fc.assert(
    fc.property(lists, includes => {
      const graph = new IncludeGraph(
        includes.map((_, id) => `${id}`),
        includes,
      );
      const reached = (from: number) => {
        const seen = new Set<number>();
        for (const queue = [...(includes[from] ?? [])]; queue.length > 0; ) {
          const id = queue.pop() as number;
          if (seen.has(id)) continue;
          seen.add(id);
          queue.push(...(includes[id] ?? []));
        }
        return seen;
      };
      for (const id of includes.keys()) {
        const expected = [...includes.keys()].filter(from => from !== id && reached(from).has(id));
        assert.deepEqual(
          graph
            .includersOf(`${id}`)
            .map(Number)
            .toSorted((a, b) => a - b),
          expected,
        );
      }
    }),
  );
});
