import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHunks } from './source-hunks.ts';

test('changes near each other make one hunk, with the functions that they are in', () => {
  const lines = Array.from({ length: 40 }, (_, i) => `line ${i + 1}\n`);
  lines[0] = 'int f(void)\n';
  lines[1] = '{\n';
  lines[39] = '}\n';
  const before = lines.join('');
  // 10 becomes two lines, 14 goes, 35 changes.
  const after = [
    ...lines.slice(0, 9),
    'ten \xc3\xa9\n',
    'ten more\n',
    ...lines.slice(10, 13),
    ...lines.slice(14, 34),
    'thirty-five\n',
    ...lines.slice(35),
  ].join('');
  const hunks = readHunks({
    path: 'a.c',
    before,
    after,
    blocks: [
      { beforeStart: 10, beforeCount: 1, afterStart: 10, afterCount: 2 },
      { beforeStart: 14, beforeCount: 1, afterStart: 15, afterCount: 0 },
      { beforeStart: 35, beforeCount: 1, afterStart: 35, afterCount: 1 },
    ],
  });
  assert.deepEqual(
    hunks.map(hunk => [hunk.before, hunk.after, hunk.lines.length, hunk.functions]),
    [
      [7, 7, 13, ['f']],
      [32, 32, 8, ['f']],
    ],
  );
  const [first] = hunks;
  assert.deepEqual(
    first?.lines.map(({ kind, line, text }) => `${kind[0]}${line} ${text}`),
    [
      ...[7, 8, 9].map(i => `c${i} line ${i}`),
      'r10 line 10',
      'a10 ten \u00e9',
      'a11 ten more',
      ...[11, 12, 13].map(i => `c${i + 1} line ${i}`),
      'r14 line 14',
      ...[15, 16, 17].map(i => `c${i} line ${i}`),
    ],
  );
});
