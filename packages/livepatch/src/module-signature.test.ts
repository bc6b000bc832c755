import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitSignature } from './module-signature.ts';

const magic = '~Module signature appended~\n';

/** @param size - what the trailer says the signature has, in bytes */
function signed(module: string, signature: string, size = signature.length): Uint8Array {
  const trailer = Buffer.alloc(12);
  trailer.writeUInt8(2, 2);
  trailer.writeUInt32BE(size, 8);
  return Buffer.concat([Buffer.from(module), Buffer.from(signature), trailer, Buffer.from(magic)]);
}

test('splitSignature() gives module and signature apart', () => {
  const { unsigned, signature } = splitSignature(signed('module', 'PKCS7'), 'a.ko');
  assert.equal(Buffer.from(unsigned).toString(), 'module');
  assert.equal(Buffer.from(signature ?? []).toString(), 'PKCS7');
});

test('splitSignature() leaves an unsigned module alone', () => {
  const bytes = Buffer.from('module');
  assert.deepEqual(splitSignature(bytes, 'a.ko'), { unsigned: bytes, signature: undefined });
});

test('splitSignature() refuses a signature longer than the file', () => {
  assert.throws(() => splitSignature(signed('module', 'PKCS7', 12), 'a.ko'), {
    code: 'livepatch-signature-malformed',
  });
  assert.throws(() => splitSignature(Buffer.from(magic), 'a.ko'), { code: 'livepatch-signature-malformed' });
});
