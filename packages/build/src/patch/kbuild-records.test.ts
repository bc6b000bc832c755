import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKbuildRecord, readKbuildRecord } from './kbuild-records.ts';

test('readKbuildRecord() reads the compiler command and what it read', () => {
  const record = readKbuildRecord(
    [
      'cmd_kernel/bounds.s :=  gcc-12 -Wp,-MMD,kernel/.bounds.s.d -I./include -DN=\'"x y"\' -S -o kernel/bounds.s kernel/bounds.c ',
      '',
      'source_kernel/bounds.s := kernel/bounds.c',
      '',
      'deps_kernel/bounds.s := \\',
      '    $(wildcard include/config/SMP) \\',
      '  include/linux/page-flags.h \\',
      '  arch/x86/include/../include/asm/page.h \\',
      '  /usr/include/stdio.h \\',
      '',
      'kernel/bounds.s: $(deps_kernel/bounds.s)',
      '',
    ].join('\n'),
  );
  assert.equal(record?.target, 'kernel/bounds.s');
  assert.deepEqual(record?.inputs, [
    'kernel/bounds.c',
    'include/linux/page-flags.h',
    'arch/x86/include/asm/page.h',
  ]);
  assert.deepEqual(record?.command.slice(0, 4), [
    'gcc-12',
    '-Wp,-MMD,kernel/.bounds.s.d',
    '-I./include',
    '-DN="x y"',
  ]);
});

test('readKbuildRecord() takes what a script is handed, and the spelling of later kernels', () => {
  const record = readKbuildRecord(
    'savedcmd_arch/x86/kernel/cpu/capflags.c := sh ./mkcapflags.sh arch/x86/kernel/cpu/capflags.c arch/x86/kernel/cpu/../../include/asm/cpufeatures.h\n',
  );
  assert.deepEqual(record?.inputs, ['arch/x86/include/asm/cpufeatures.h']);
});

test('readKbuildRecord() passes over what is made of objects, and over anything else', () => {
  assert.equal(
    readKbuildRecord('cmd_net/key/af_key.mod := echo net/key/af_key.o > net/key/af_key.mod\n'),
    undefined,
  );
  assert.equal(readKbuildRecord(''), undefined);
  assert.equal(readKbuildRecord('nonsense := $(x)\n\0'), undefined);
});

test('isKbuildRecord() knows the names', () => {
  assert.deepEqual(['.bounds.s.cmd', 'bounds.s.cmd', '.config'].map(isKbuildRecord), [true, false, false]);
});
