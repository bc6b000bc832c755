import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawSample, splitDelta } from './differing-files.ts';

test('splitDelta() takes the .c files, each with its own part', () => {
  const part = (path: string) =>
    `diff --git a/${path} b/${path}\n--- a/${path}\n+++ b/${path}\n@@ -1 +1 @@\n-a\n+b\n`;
  const parts = splitDelta(part('fs/a.c') + part('fs/a.h') + part('fs/b.c'));
  assert.deepEqual(parts, [
    { file: 'fs/a.c', patch: part('fs/a.c') },
    { file: 'fs/b.c', patch: part('fs/b.c') },
  ]);
});

test('drawSample() draws as many as asked, the same for the same seed, in order', () => {
  const files = Array.from({ length: 100 }, (_, index) => index);
  const drawn = drawSample(files, 40, 1);
  assert.equal(new Set(drawn).size, 40);
  assert.deepEqual(drawn, drawSample(files, 40, 1));
  assert.deepEqual(
    drawn,
    drawn.toSorted((a, b) => a - b),
  );
  assert.notDeepEqual(drawn, drawSample(files, 40, 2));
  assert.deepEqual(drawSample(files, 200, 1), files);
});
