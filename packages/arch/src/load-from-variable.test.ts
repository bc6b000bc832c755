import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { missingOf } from '@kstitch/testkit/compile';
import { x86_64 } from './x86-64.ts';

const registers = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');

const constant = [0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01];
const skip = missingOf('objdump');

/** @returns the instructions, as objdump reads them */
function disassembled(code: Uint8Array): readonly string[] {
  const directory = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
  try {
    const file = join(directory, 'code');
    writeFileSync(file, code);
    const args = ['-D', '-b', 'binary', '-m', 'i386:x86-64', '--no-show-raw-insn', file];
    return spawnSync('objdump', args, { encoding: 'utf8' })
      .stdout.split('\n')
      .flatMap(line => /^ +[0-9a-f]+:\t(.*?) *(?:#.*)?$/.exec(line)?.[1]?.replace(/\s+/g, ' ') ?? []);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const load = (code: Uint8Array, field: number) => x86_64.loadFromVariable(code, x86_64.decode(code), field);

test('loadFromVariable() keeps register and length, as objdump reads it', { skip }, () => {
  for (const [number, register] of registers.entries()) {
    const code = Uint8Array.from([0x90, number < 8 ? 0x48 : 0x49, 0xb8 + (number % 8), ...constant, 0xc3]);
    assert.deepEqual(disassembled(code), ['nop', `movabs $0x123456789abcdef,%${register}`, 'ret']);
    const found = load(code, 3);
    assert.ok(found, register);
    assert.deepEqual([found.offset, found.field, found.bytes.length, found.bias], [1, 4, 10, 4]);
    code.set(found.bytes, found.offset);
    assert.deepEqual(disassembled(code), ['nop', `mov 0x0(%rip),%${register}`, 'nopl (%rax)', 'ret']);
  }
});

const refused: readonly (readonly [string, readonly number[], number])[] = [
  ['another constant', [0x48, 0xb8, ...constant.with(0, 0xee)], 2],
  ['a place that is not that of the constant', [0x48, 0xb8, ...constant], 3],
  ['a load of 4 bytes', [0xb8, ...constant.slice(0, 4), 0x90, 0x90, 0x90, 0x90], 1],
  ['a constant that goes elsewhere', [0x48, 0xc7, ...constant], 2],
  ['no code', [], 2],
  ['the middle of an instruction', [0x48, 0xb8, 0x48, 0xb8, ...constant], 4],
];
for (const [what, code, field] of refused) {
  test(`loadFromVariable() does not take ${what} for a site`, () =>
    assert.equal(load(Uint8Array.from(code), field), undefined));
}
