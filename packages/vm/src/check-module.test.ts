import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { KstitchError } from '@kstitch/report/error';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { checkLivepatchModule } from './check-module.ts';

const release = '6.1.0-55-cloud-amd64';
const info = {
  name: 'kstitch_x',
  livepatch: 'Y',
  vermagic: `${release} SMP preempt mod_unload modversions `,
};

function moduleWith(modinfo: Readonly<Record<string, string>>): Uint8Array {
  const text = Object.entries(modinfo)
    .map(([key, value]) => String.raw`${key}=${value}\0`)
    .join('');
  return compileC(`const char info[] __attribute__((section(".modinfo"))) = "${text}";`);
}

function check(bytes: Uint8Array, options: { name?: string; sha256?: string } = {}): void {
  const sha256 = options.sha256 ?? createHash('sha256').update(bytes).digest('hex');
  checkLivepatchModule({ path: 'x.ko', name: options.name ?? 'kstitch_x', sha256, bytes }, release);
}

test('a livepatch for this kernel is taken', { skip: missingCompiler }, () => {
  check(moduleWith(info));
});

test('anything else is told apart', { skip: missingCompiler }, () => {
  const cases: readonly (readonly [work: () => void, code: KstitchError['code'], text: RegExp])[] = [
    [
      () => check(moduleWith({ ...info, vermagic: '6.1.0-56-cloud-amd64 SMP' })),
      'prove-module-foreign',
      /built for the kernel '6\.1\.0-56-cloud-amd64', not for '6\.1\.0-55-cloud-amd64'/,
    ],
    [
      () => check(moduleWith({ name: 'kstitch_x', vermagic: info.vermagic })),
      'prove-module-foreign',
      /'kstitch_x' is not a livepatch/,
    ],
    [
      () => check(moduleWith(info), { name: 'other' }),
      'prove-module-foreign',
      /the livepatch 'kstitch_x', not 'other'/,
    ],
    [() => check(compileC('int x;')), 'prove-module-foreign', /does not say its name/],
    [
      () => check(compileC('int main(void) { return 0; }', [], { link: true })),
      'prove-module-foreign',
      /not a kernel module for x86-64/,
    ],
    [
      () => check(moduleWith(info), { sha256: '0'.repeat(64) }),
      'prove-module-changed',
      /its description says '0{64}'/,
    ],
    [() => check(moduleWith(info).subarray(0, 400)), 'elf-truncated', /x\.ko/],
    [() => check(Buffer.from('#!/bin/sh\n'.repeat(20))), 'elf-foreign', /x\.ko/],
  ];
  for (const [work, code, text] of cases) {
    assert.throws(work, (error: unknown) => {
      assert.ok(error instanceof KstitchError, String(error));
      assert.equal(error.code, code);
      assert.match(error.message, text);
      return true;
    });
  }
});
