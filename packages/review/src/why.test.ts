import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSources } from './source-text.ts';
import { type Chain, explainWhy } from './why.ts';

const before = 'static int low(int a)\n{\n\treturn a;\n}\n';
const after = before.replace('return a', 'return a + 1');
const sources = readSources([
  { path: 'a.h', before, after, blocks: [{ beforeStart: 3, beforeCount: 1, afterStart: 3, afterCount: 1 }] },
]);

function whyOf(chain: Chain) {
  return explainWhy(
    { sourceName: 'f', chains: { before: [], after: [chain] }, tables: [], callees: [] },
    sources,
  ).map(why => (why.kind === 'inlined' ? [why.chain.join(' '), why.lines.length] : why.kind));
}

test('a function that the compiler split and inlined again counts once', () => {
  const chain = [
    { function: 'low', file: 'a.h', line: 3 },
    { function: 'low', file: 'a.h', line: 3 },
    { function: 'f', file: 'b.c', line: 9 },
  ];
  assert.deepEqual(whyOf(chain), [['low f', 1]]);
});

test('a changed line without code counts where another line of its function is', () => {
  const other = [
    { function: 'low', file: 'a.h', line: 1 },
    { function: 'f', file: 'b.c', line: 9 },
  ];
  assert.deepEqual(whyOf(other), [['low f', 1]]);
  assert.deepEqual(whyOf([{ function: 'low', file: 'elsewhere.h', line: 3 }]), []);
});

test('where no lines are known, the function that a changed line is written in counts', () => {
  const why = (sourceName: string) =>
    explainWhy({ sourceName, chains: { before: [], after: [] }, tables: [], callees: [] }, sources);
  assert.deepEqual(
    why('low').map(({ kind }) => kind),
    ['source'],
  );
  assert.deepEqual(why('f'), []);
});
