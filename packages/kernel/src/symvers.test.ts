import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSymvers } from './symvers.ts';

test('symbols of vmlinux and of modules, with and without a namespace', () => {
  const symbols = parseSymvers(
    '0x4c9d28b0\tphys_base\tvmlinux\tEXPORT_SYMBOL\t\n' +
      '0xffffffff\tvirtqueue_add\tdrivers/virtio/virtio-ring\tEXPORT_SYMBOL_GPL\tVIRTIO\n' +
      '0x00000000\told\tlib/old\tEXPORT_SYMBOL\n',
  );
  assert.deepEqual(
    [...symbols.values()],
    [
      {
        name: 'phys_base',
        crc: 0x4c9d28b0,
        module: 'vmlinux',
        path: 'vmlinux',
        kind: 'EXPORT_SYMBOL',
        namespace: undefined,
      },
      {
        name: 'virtqueue_add',
        crc: 0xffffffff,
        module: 'virtio_ring',
        path: 'drivers/virtio/virtio-ring',
        kind: 'EXPORT_SYMBOL_GPL',
        namespace: 'VIRTIO',
      },
      { name: 'old', crc: 0, module: 'old', path: 'lib/old', kind: 'EXPORT_SYMBOL', namespace: undefined },
    ],
  );
  assert.equal(symbols.get('old')?.module, 'old');
});

test('a line of another form is refused by its number', () => {
  for (const [line, problem] of [
    ['garbage', "'garbage' has 1 field, expected 4 or 5"],
    ['0x1\ta\tvmlinux', "'0x1\ta\tvmlinux' has 3 fields, expected 4 or 5"],
    ['0x1\ta\tb\tc\td\te', "'0x1\ta\tb\tc\td\te' has 6 fields, expected 4 or 5"],
    ['12\ta\tvmlinux\tEXPORT_SYMBOL', "'12' is not a checksum of 32 bits"],
    ['0x123456789\ta\tvmlinux\tEXPORT_SYMBOL', "'0x123456789' is not a checksum of 32 bits"],
  ] as const) {
    assert.throws(() => parseSymvers(`0x1\tgood\tvmlinux\tEXPORT_SYMBOL\t\n${line}\n`), {
      code: 'kernel-text-file',
      message: `cannot read Module.symvers line 2: ${problem}`,
    });
  }
});
