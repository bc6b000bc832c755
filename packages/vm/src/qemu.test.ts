import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KstitchError } from '@kstitch/report/error';
import { findQemu, qemuVersionOf } from './qemu.ts';

test('a machine without QEMU is told how to get it', async () => {
  await assert.rejects(findQemu('/nowhere:'), error => {
    assert.ok(error instanceof KstitchError);
    assert.equal(error.code, 'vm-qemu-missing');
    assert.match(error.help, /apt-get install qemu-system-x86/);
    return true;
  });
});

test('the version is what stands behind the word', () => {
  const text =
    'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright (c) 2003-2022 Fabrice Bellard\n';
  assert.equal(qemuVersionOf(text), '7.2.22 (Debian 1:7.2+dfsg-7)');
});
