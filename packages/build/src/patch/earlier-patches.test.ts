import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type Bundle } from '@kstitch/livepatch/bundle';
import { Refusal } from '@kstitch/report/diagnostic';
import { withEarlierPatches } from './earlier-patches.ts';
import { maxPatchSize } from './parse-patch.ts';

const kernel = { release: '6.1.0-55-cloud-amd64', packageVersion: '6.1.192-1', buildId: '00ff' };

/** As much of a bundle as is looked at. */
function bundle(module: string, texts: readonly string[], of: Bundle['kernel'] = kernel): Bundle {
  const patches = texts.map((text, i) => ({
    name: `${module}-${i}.patch`,
    sha256: createHash('sha256').update(text, 'latin1').digest('hex'),
    text,
  }));
  return { module, kernel: of, patches } as unknown as Bundle;
}

const patch = (name: string, text: string) => ({ name, bytes: Buffer.from(text, 'latin1') });

function codesOf(...args: Parameters<typeof withEarlierPatches>): readonly string[] {
  try {
    withEarlierPatches(...args);
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    return error.diagnostics.map(d => `${d.code}: ${d.text}`);
  }
  return [];
}

test('withEarlierPatches() puts the patches of the bundles first, in order, byte for byte', () => {
  const all = withEarlierPatches(
    kernel,
    [bundle('a', ['1\xff', '2']), bundle('b', ['3'])],
    [patch('c', '4')],
  );
  assert.deepEqual(
    all.map(({ name, bytes }) => [name, Buffer.from(bytes).toString('latin1')]),
    [
      ['a-0.patch', '1\xff'],
      ['a-1.patch', '2'],
      ['b-0.patch', '3'],
      ['c', '4'],
    ],
  );
});

test('withEarlierPatches() refuses bundles for another kernel, each by name', () => {
  const others = [
    { ...kernel, release: '6.1.0-54-cloud-amd64' },
    { ...kernel, packageVersion: '6.1.190-1' },
    { ...kernel, buildId: 'ff00' },
  ];
  const bundles = others.map((of, i) => bundle(`b${i}`, [`${i}`], of));
  const found = codesOf(kernel, bundles, []);
  assert.deepEqual(
    found.map(text => text.split(': ', 2).join(' ')),
    [
      "bundle-other-kernel build on 'b0'",
      "bundle-other-kernel build on 'b1'",
      "bundle-other-kernel build on 'b2'",
    ],
  );
});

test('withEarlierPatches() refuses a patch that comes twice, wherever it comes from', () => {
  assert.deepEqual(codesOf(kernel, [bundle('a', ['1'])], [patch('new', '1')]), [
    "patch-twice: 'new' is part of 'a' already",
  ]);
  assert.deepEqual(codesOf(kernel, [bundle('a', ['1']), bundle('b', ['1'])], []), [
    "patch-twice: 'b-0.patch' of 'b' is part of 'a' already",
  ]);
  assert.deepEqual(codesOf(kernel, [], [patch('x', '1'), patch('y', '1')]), [
    "patch-twice: 'y' is given twice",
  ]);
});

test('withEarlierPatches() limits what a bundle has to hold', () => {
  const half = 'x'.repeat(maxPatchSize / 2);
  assert.throws(() => withEarlierPatches(kernel, [bundle('a', [half])], [patch('b', `${half}y`)]), {
    code: 'patch-too-large',
  });
});
