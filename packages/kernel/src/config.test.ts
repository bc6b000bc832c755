import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from './config.ts';

const config = parseConfig(`#
# Automatically generated file; DO NOT EDIT.
#
CONFIG_CC_VERSION_TEXT="gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"
CONFIG_LIVEPATCH=y
CONFIG_VIRTIO_BLK=m
# CONFIG_X86_KERNEL_IBT is not set
CONFIG_NR_CPUS=512
CONFIG_64BIT=y
CONFIG_QUOTED="a \\"b\\" \\\\c"
CONFIG_EMPTY=""
`);

test('options that are set, and how', () => {
  assert.ok(config.isSet('CONFIG_LIVEPATCH'));
  assert.ok(config.isSet('CONFIG_VIRTIO_BLK'));
  assert.ok(config.isModule('CONFIG_VIRTIO_BLK'));
  assert.ok(!config.isModule('CONFIG_LIVEPATCH'));
  assert.ok(!config.isSet('CONFIG_X86_KERNEL_IBT'));
  assert.ok(!config.isSet('CONFIG_NR_CPUS'), 'not a yes-or-no option');
  assert.ok(!config.isSet('CONFIG_NO_SUCH'));
});

test('values, texts without their quotes', () => {
  assert.equal(config.get('CONFIG_NR_CPUS'), '512');
  assert.equal(config.get('CONFIG_CC_VERSION_TEXT'), 'gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0');
  assert.equal(config.get('CONFIG_QUOTED'), 'a "b" \\c');
  assert.equal(config.get('CONFIG_EMPTY'), '');
  assert.equal(config.get('CONFIG_X86_KERNEL_IBT'), undefined);
  assert.equal(config.values.size, 7);
});

test('a line of another form is refused by its number', () => {
  assert.throws(() => parseConfig('CONFIG_A=y\n<html>\n'), {
    code: 'kernel-text-file',
    message: "cannot read .config line 2: '<html>' is neither 'CONFIG_X=…' nor a comment",
  });
});
