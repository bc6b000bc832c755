import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KstitchError } from '@kstitch/report/error';
import { formatProof, type Proof, parseProof } from './proof.ts';

const boot = {
  bootId: '3f0e4b4a-5b0e-4c5e-9c33-0d6a5a7b1c2d',
  steps: [{ name: 'init', atSeconds: 1.61, tainted: 0 }],
  log: { file: 'kstitch_x_1a2b3c4d.bare.log', sha256: 'a'.repeat(64) },
  seconds: 9.5,
};
const proof: Proof = {
  schema: 'kstitch/proof/1',
  module: 'kstitch_x_1a2b3c4d',
  sha256: 'b'.repeat(64),
  kernel: {
    release: '6.1.0-55-cloud-amd64',
    banner: 'Linux version 6.1.0-55-cloud-amd64',
    sha256: 'c'.repeat(64),
  },
  machine: { accelerator: 'tcg', qemu: '7.2.22', cpus: 2, memoryMiB: 1024 },
  reproducer: {
    sha256: 'd'.repeat(64),
    timeoutSeconds: 60,
    nonDestructive: false,
    expectOops: 'ext4_mb_load_buddy_gfp',
  },
  bare: {
    ...boot,
    how: 'crash',
    splats: [
      {
        kind: 'oops',
        headline: 'BUG: kernel NULL pointer dereference',
        function: 'f',
        step: 'reproduce-bare',
      },
    ],
  },
  patched: {
    ...boot,
    runs: [{ when: 'patched', bug: 'absent', seconds: 1.2 }],
    loads: [{ insmodSeconds: 0.4, transitionSeconds: 1.06 }],
    disableSeconds: 2,
    reloaded: true,
    splats: [],
  },
  startedAt: '2026-11-23T19:57:50.447Z',
  seconds: 17.5,
};

test('a proof is read back as it was written', () => {
  const text = formatProof(proof);
  assert.deepEqual(parseProof(text, 'x'), proof);
  assert.equal(formatProof(parseProof(text, 'x')), text);
  assert.ok(text.endsWith('}\n'));
});

test('a proof of another version is not guessed at', () => {
  const text = JSON.stringify({ ...proof, schema: 'kstitch/proof/2', more: 1 });
  assert.throws(() => parseProof(text, 'x.proof.json'), isError('proof-schema'));
});

test('every wrong field is named', () => {
  const wrong = { ...proof, seconds: -1, extra: 1, bare: { ...proof.bare, bootId: 'x' } };
  assert.throws(
    () => parseProof(JSON.stringify(wrong), 'x.proof.json'),
    error => {
      assert.ok(error instanceof KstitchError && error.code === 'proof-malformed');
      assert.deepEqual(
        new Set(error.notes.map(note => note.split(':')[0])),
        new Set(['bare.bootId', 'extra', 'seconds']),
      );
      return true;
    },
  );
  assert.throws(() => parseProof('{', 'x'), isError('proof-malformed'));
  assert.throws(() => parseProof(' '.repeat(2 ** 20 + 1), 'x'), isError('proof-malformed'));
});

function isError(code: KstitchError['code']) {
  return (error: unknown) => error instanceof KstitchError && error.code === code;
}
