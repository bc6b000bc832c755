import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testKit } from '@kstitch/testkit/kit';
import { loadKernel } from './load-kernel.ts';

const { kit } = await testKit();
const kernel = await loadKernel(kit);

test('loadKernel() reads sizes, names and banner of the shipped kernel', () => {
  assert.deepEqual(kernel.entrySizes, {
    altInstruction: 12,
    altReplacementLength: 11,
    bug: 12,
    jump: 16,
    exception: 12,
    paravirt: 16,
  });
  assert.match(kernel.buildId, /^[0-9a-f]{40}$/);
  assert.equal(kernel.banner.release, kit.release);
  assert.ok(
    kernel.moduleNames.has('dummy') && kernel.moduleNames.has('ext4'),
    'modules and built-in modules',
  );
});

test('loadKernel() hands out shipped modules, keeps those that are held, and refuses one that the kernel does not ship', async () => {
  const dummy = await kernel.module('dummy');
  assert.equal(dummy.named('dummy_setup').length, 1);
  assert.equal(kernel.world.shippedModule('dummy'), undefined);
  await kernel.hold(['dummy', 'vmlinux']);
  assert.notEqual(kernel.world.shippedModule('dummy'), undefined);
  await assert.rejects(kernel.module('nouveau'), { code: 'module-absent' });
});

test('symbolsFor() knows who exports a name', async () => {
  const symbols = kernel.symbolsFor(await kernel.module('dummy'));
  assert.equal(symbols.exporterOf('kmalloc_trace'), 'vmlinux');
  assert.equal(symbols.exporterOf('nft_register_expr'), 'nf_tables');
  assert.equal(symbols.exporterOf('ext4_mb_init_group'), undefined);
});
