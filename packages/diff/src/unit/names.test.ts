import assert from 'node:assert/strict';
import { test } from 'node:test';
import { baseName, coldParentOf } from './names.ts';

test('baseName() takes off what the compiler numbers and nothing else', () => {
  assert.equal(baseName('count.12'), 'count');
  assert.equal(baseName('foo.isra.0'), 'foo.isra');
  assert.equal(baseName('foo.constprop.0.isra.1.cold'), 'foo.constprop.isra.cold');
  assert.equal(baseName('__UNIQUE_ID_ddebug512.3'), '__UNIQUE_ID_ddebug');
  assert.equal(
    baseName('__initcall__kmod_ext4__600_7231_ext4_init_fs6'),
    '__initcall__kmod_ext4__ext4_init_fs6',
  );
  assert.equal(baseName('__UNIQUE_ID_ddebug_512'), '__UNIQUE_ID_ddebug');
  assert.equal(baseName('__BTF_ID__struct__nf_conn__772208'), '__BTF_ID__struct__nf_conn');
  assert.equal(baseName('md5_transform2'), 'md5_transform2');
});

test('coldParentOf() names the function of a cold part', () => {
  assert.equal(coldParentOf('foo.constprop.0.cold'), 'foo.constprop.0');
  assert.equal(coldParentOf('foo.cold.3'), 'foo');
  assert.equal(coldParentOf('cold'), undefined);
});
