import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { readKernelModules } from './kernel-modules.ts';

const directory = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(directory, { recursive: true }));

if (missingCompiler === false) {
  const modules = {
    'kernel/drivers/virtio/virtio.ko': '',
    'kernel/drivers/virtio/virtio_ring.ko': 'virtio',
    'kernel/drivers/block/virtio-blk.ko': 'virtio_ring,virtio,scsi-core',
    'kernel/crypto/crc32c_generic.ko': '',
    'kernel/fs/broken.ko': 'absent',
  };
  for (const [path, depends] of Object.entries(modules)) {
    mkdirSync(join(directory, dirname(path)), { recursive: true });
    const text = String.raw`depends=${depends}\0`;
    const bytes = compileC(`const char info[] __attribute__((section(".modinfo"))) = "${text}";`);
    writeFileSync(join(directory, path), bytes);
  }
  execFileSync('xz', [join(directory, 'kernel/drivers/virtio/virtio_ring.ko')]);
  writeFileSync(join(directory, 'modules.order'), `${Object.keys(modules).join('\n')}\n`);
  writeFileSync(
    join(directory, 'modules.builtin'),
    'kernel/drivers/scsi/scsi_core.ko\nkernel/fs/ext4/ext4.ko\n',
  );
}

test('modules come after what they need, decompressed, without the built-in ones', {
  skip: missingCompiler,
}, async () => {
  const found = await readKernelModules(silentContext(), directory, {
    required: ['virtio_blk', 'ext4', 'virtio'],
    optional: ['crc32c_generic', 'not_in_this_kernel'],
  });
  assert.deepEqual(
    found.map(({ name }) => name),
    ['virtio', 'virtio_ring', 'virtio_blk', 'crc32c_generic'],
  );
  assert.equal(Buffer.from(found[1]!.bytes.subarray(1, 4)).toString(), 'ELF');
  assert.deepEqual(found[0]?.bytes, readFileSync(join(directory, 'kernel/drivers/virtio/virtio.ko')));
});

test('a module that the kernel has not is named, with who needs it', { skip: missingCompiler }, async () => {
  const read = (name: string) =>
    readKernelModules(silentContext(), directory, { required: [name], optional: [] });
  await assert.rejects(read('nftables'), isUnknown(/find kernel module 'nftables': /));
  await assert.rejects(read('broken'), isUnknown(/find kernel module 'absent', which 'broken' needs: /));
});

function isUnknown(text: RegExp) {
  return (error: unknown) =>
    error instanceof KstitchError && error.code === 'vm-module-unknown' && text.test(error.message);
}
