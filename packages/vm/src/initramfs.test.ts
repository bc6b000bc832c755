import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildInitramfs, formatSettings, guestScript, type InitramfsParts } from './initramfs.ts';

const parts: InitramfsParts = {
  busybox: Buffer.from('busybox'),
  modules: [
    { name: 'virtio', bytes: Buffer.from('1') },
    { name: 'virtio_blk', bytes: Buffer.from('2') },
  ],
  main: 'finish\n',
  settings: { NONCE: 'abc' },
  files: [{ path: '/data/deep/file', bytes: Buffer.from('x'), mode: 0o600 }],
};

test('everything is where /init looks for it', () => {
  const archive = buildInitramfs(parts);
  const listing = execFileSync('cpio', ['-it', '--quiet'], { input: archive, encoding: 'utf8' }).split('\n');
  for (const path of [
    'init',
    'bin/busybox',
    'bin/sh',
    'dev/console',
    'proc',
    'sys',
    'tmp',
    'mnt',
    'kstitch/settings',
    'kstitch/main',
    'kstitch/modules/00-virtio.ko',
    'kstitch/modules/01-virtio_blk.ko',
    'data/deep/file',
  ]) {
    assert.ok(listing.includes(path), path);
  }
  assert.deepEqual(buildInitramfs(parts), archive);
});

test('settings reach a shell as they are', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 30 }).filter(text => !text.includes('\0')),
      value => {
        const script = `${formatSettings({ VALUE: value })}printf %s "$VALUE"`;
        assert.equal(execFileSync('sh', ['-c', script], { encoding: 'utf8' }), value);
      },
    ),
    { numRuns: 30 },
  );
  assert.throws(() => formatSettings({ 'A;reboot': 1 }), /is not a shell variable/);
});

test('the guest scripts are shell', () => {
  for (const name of ['init.sh', 'prove.sh', 'once.sh', 'probe.sh'] as const) {
    execFileSync('sh', ['-n'], { input: guestScript(name) });
  }
});
