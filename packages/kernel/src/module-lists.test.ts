import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Modinfo } from './modinfo.ts';
import {
  dependenciesFromModinfo,
  type ModuleDependencies,
  modulesInLoadOrder,
  parseModulePaths,
  parseModulesDep,
} from './module-lists.ts';

test('modules.order and modules.builtin', () => {
  assert.deepEqual(parseModulePaths('kernel/a.ko\nkernel/b-c.ko\n\n'), ['kernel/a.ko', 'kernel/b-c.ko']);
  assert.deepEqual(parseModulePaths(''), []);
});

const dep = parseModulesDep(`kernel/virtio.ko: kernel/virtio_ring.ko
kernel/virtio_ring.ko:
kernel/virtio-blk.ko: kernel/virtio.ko kernel/virtio_ring.ko
kernel/virtio_pci.ko: kernel/legacy-dev.ko kernel/virtio.ko kernel/virtio_ring.ko
kernel/legacy-dev.ko:
`);

test('modules.dep', () => {
  assert.deepEqual(dep.get('virtio_blk'), {
    path: 'kernel/virtio-blk.ko',
    needs: ['virtio', 'virtio_ring'],
  });
  assert.deepEqual(dep.get('virtio_ring')?.needs, []);
  assert.throws(() => parseModulesDep('kernel/a.ko:\nnonsense\n'), {
    code: 'kernel-text-file',
    message: "cannot read modules.dep line 2: 'nonsense' has no 'PATH:'",
  });
});

test('what is needed is loaded before, and once', () => {
  assert.deepEqual(modulesInLoadOrder(dep, ['virtio-blk', 'virtio_pci', 'virtio']), [
    'kernel/virtio_ring.ko',
    'kernel/virtio.ko',
    'kernel/virtio-blk.ko',
    'kernel/legacy-dev.ko',
    'kernel/virtio_pci.ko',
  ]);
  assert.deepEqual(modulesInLoadOrder(dep, []), []);
});

test('the same from what the modules say of themselves', () => {
  const own = dependenciesFromModinfo([
    ['kernel/virtio.ko', new Modinfo([['depends', 'virtio_ring']])],
    ['kernel/virtio_ring.ko', new Modinfo([['depends', '']])],
    ['kernel/virtio-blk.ko', new Modinfo([['depends', 'virtio']])],
  ]);
  assert.deepEqual(modulesInLoadOrder(own, ['virtio_blk']), [
    'kernel/virtio_ring.ko',
    'kernel/virtio.ko',
    'kernel/virtio-blk.ko',
  ]);
});

test('modules that are not there, and circles', () => {
  assert.throws(() => modulesInLoadOrder(dep, ['virtio_blkk']), {
    code: 'kernel-module-unknown',
    message: "cannot order modules for loading: no module 'virtio_blkk'",
  });
  const circle: ModuleDependencies = new Map([
    ['a', { path: 'a.ko', needs: ['b'] }],
    ['b', { path: 'b.ko', needs: ['c'] }],
    ['c', { path: 'c.ko', needs: ['b'] }],
    ['d', { path: 'd.ko', needs: ['gone'] }],
  ]);
  assert.throws(() => modulesInLoadOrder(circle, ['a']), {
    code: 'kernel-module-cycle',
    message: "cannot order modules for loading: 'b' needs 'c' needs 'b'",
  });
  assert.throws(() => modulesInLoadOrder(circle, ['d']), {
    message: "cannot order modules for loading: no module 'gone', which 'd' needs",
  });
});

test('many ways to the same module cost no more than one', () => {
  const ladder: ModuleDependencies = new Map(
    Array.from({ length: 100 }, (_, step) => {
      const next = `m${step + 1}`;
      return [`m${step}`, { path: `m${step}.ko`, needs: step === 99 ? [] : [next, next] }];
    }),
  );
  const order = modulesInLoadOrder(ladder, ['m0']);
  assert.equal(order.length, 100);
  assert.equal(order[0], 'm99.ko');
});
