import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileC, missingCompiler, readelfText, withoutFileOffsets } from '@kstitch/testkit/compile';
import { editElf } from './edit.ts';
import { readElf } from './read.ts';
import { writeElf } from './write.ts';

const skip = missingCompiler;

const c = `
  #define NULL ((void *)0)
  extern int printf(const char *, ...);
  static int counter;
  int shared_later;
  __thread int local_to_thread = 3;
  __attribute__((weak)) void hook(void) {}
  __attribute__((cold, noinline)) static void unlikely(const char *why) { printf("%s %d\\n", why, counter++); }
  int loop(int n) { for (int i = 0; i < n; i++) { if (i == 77) unlikely("seventy-seven"); hook(); } return local_to_thread; }
  int (*const table[])(int) = { loop, NULL };
`;

const assembly = `
  .section .text.grouped,"axG",@progbits,grouped,comdat
  .globl grouped
grouped: call elsewhere
  .section __patchable_function_entries,"awo",@progbits,.text.grouped
  .quad grouped
  .section .excluded,"e",@progbits
  .quad 1
  .section .strings,"aMS",@progbits,1
  .asciz "merged"
  .section .aligned,"a",@progbits
  .p2align 12
  .byte 1
  .comm common_symbol,16,8
  .set absolute_symbol, 0xffffffff81000000
  .globl absolute_symbol
  .hidden hidden_symbol
  .globl hidden_symbol
hidden_symbol: .reloc ., R_X86_64_NONE, grouped
`;

function rewritten(bytes: Uint8Array): Uint8Array {
  return writeElf(editElf(readElf(bytes, 'original')).builder);
}

function expectSame(original: Uint8Array, args: readonly string[]): void {
  const again = rewritten(original);
  assert.equal(withoutFileOffsets(readelfText(again, args)), withoutFileOffsets(readelfText(original, args)));
  // Laid out by the same rules the second time, so nothing may move any more.
  assert.deepEqual(rewritten(again), again);
}

for (const [name, flags] of [
  ['plain', []],
  ['with function and data sections', ['-ffunction-sections', '-fdata-sections']],
  ['with debug information', ['-g']],
  ['without optimisation, with common symbols', ['-O0', '-fcommon']],
  ['with compressed debug sections', ['-g', '-gz']],
] as const) {
  test(`an object of gcc is the same to readelf when read and written again: ${name}`, { skip }, () => {
    expectSame(compileC(c, flags), ['-hSsrgnW']);
  });
}

test('groups, link order, excluded, merged and aligned sections stay', { skip }, () => {
  expectSame(compileC(assembly, [], { language: 'assembler' }), ['-hSsrgnW']);
});

test('an executable keeps its segments and runs', { skip }, () => {
  const executable = compileC('int main(int argc, char **argv) { return argc + 40; }', ['-g'], {
    link: true,
  });
  expectSame(executable, ['-hSlsrdnVW']);
  assert.equal(exitStatus(rewritten(executable), ['one']), 42);
});

test('a shared object keeps its dynamic symbols and relocations', { skip }, () => {
  const shared = compileC(c, ['-fPIC', '-shared'], { link: true });
  expectSame(shared, ['-hSlsrdnVW']);
});

test('a section of an executable can change its bytes but not its size, and cannot be removed', {
  skip,
}, () => {
  const executable = compileC('volatile int answer = 1; int main(void) { return answer; }', [], {
    link: true,
  });
  const { builder } = editElf(readElf(executable, 'main'));
  const section = builder.sectionsNamed('.data')[0]!;
  assert.equal(section.content.kind, 'bytes');
  const symbol = builder.symbols().find(({ name }) => name === 'answer')!;
  const bytes = (section.content as { bytes: Uint8Array }).bytes.slice();
  bytes[Number(symbol.st_value - section.sh_addr)] = 9;
  section.content = { kind: 'bytes', bytes };
  assert.equal(exitStatus(writeElf(builder), []), 9);

  section.content = { kind: 'bytes', bytes: new Uint8Array(bytes.length + 1) };
  assert.throws(() => writeElf(builder), {
    code: 'elf-not-encodable',
    message: /^cannot write section '\.data': it has \d+ bytes, its place in the executable has \d+$/,
  });
  assert.throws(() => builder.removeSection(section.id), RangeError);
});

test('an executable without section headers stays without', { skip }, () => {
  const executable = compileC('int main(void) { return 0; }', [], { link: true });
  executable.fill(0, 40, 48); // e_shoff
  executable.fill(0, 60, 64); // e_shnum, e_shstrndx
  expectSame(executable, ['-hlW']);
  assert.equal(exitStatus(rewritten(executable), []), 0);
});

test('bytes behind the file, such as a signature, are not part of it', { skip }, () => {
  const object = compileC(c);
  const signed = Buffer.concat([object, Buffer.from('~Module signature appended~\n')]);
  assert.deepEqual(rewritten(signed), rewritten(object));
});

function exitStatus(executable: Uint8Array, args: readonly string[]): number | null {
  const directory = mkdtempSync(join(tmpdir(), 'kstitch-run-'));
  try {
    const path = join(directory, 'main');
    writeFileSync(path, executable);
    chmodSync(path, 0o755);
    return spawnSync(path, args).status;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
