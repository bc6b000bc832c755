import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findFiles, readText, root } from '../repository.ts';
import { assetFiles } from './bundle.ts';

/** Not for reading: paths in messages are shown below it. */
const notRead = ['packages/cli/src/failure.ts: ../../..'];

test('what the program reads from beside its source is brought along', () => {
  const brought = new Set(assetFiles.flatMap(pattern => globSync(join(root, pattern))));
  const sources = findFiles('packages/*/src/**/*.ts').filter(
    path => !/\.test\.ts$|^packages\/testkit\/|\/(?:fixture|test)-[^/]*$/.test(path),
  );
  const seen: string[] = [];
  for (const path of sources) {
    const text = readText(path);
    assert.ok(!/import\.meta\.(?:dirname|filename)/.test(text), `${path}: use readAsset() of packages/host`);
    for (const [, name = ''] of text.matchAll(/new URL\(\s*['`](.+?)['`],\s*import\.meta\.url/g)) {
      if (notRead.includes(`${path}: ${name}`)) continue;
      const files = globSync(join(root, path, '..', name.replaceAll(/\$\{\w+\}/g, '*')));
      assert.ok(files.length > 0, `${path}: '${name}' is no file`);
      for (const file of files) assert.ok(brought.has(file), `${path}: '${name}' is not among the assets`);
      seen.push(...files);
    }
  }
  assert.ok(seen.length >= 6, seen.join(', '));
});
