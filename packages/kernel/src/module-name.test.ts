import assert from 'node:assert/strict';
import { test } from 'node:test';
import { moduleNameOf } from './module-name.ts';

test('paths, endings and dashes', () => {
  for (const [path, name] of [
    ['kernel/drivers/block/virtio-blk.ko', 'virtio_blk'],
    ['kernel/net/a.ko.xz', 'a'],
    ['a-b.ko.zst', 'a_b'],
    ['drivers/virtio/virtio_ring.o', 'virtio_ring'],
    ['drivers/virtio/virtio_ring', 'virtio_ring'],
    ['i2c-dev', 'i2c_dev'],
    ['vmlinux', 'vmlinux'],
    ['/lib/mod-dir/x.ko.gz', 'x'],
  ] as const) {
    assert.equal(moduleNameOf(path), name);
  }
});
