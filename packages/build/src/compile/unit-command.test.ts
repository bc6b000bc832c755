import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outsideKernel, parseUnitCommand } from './unit-command.ts';

const parse = (object: string, command: string, modules: readonly string[] = []) =>
  parseUnitCommand({ object, command, modules });

test("parseUnitCommand() takes kbuild's command apart", () => {
  const unit = parse(
    'fs/ext4/mballoc.o',
    `gcc-12 -Wp,-MMD,fs/ext4/.mballoc.o.d -nostdinc -I./include -include ./include/linux/kconfig.h -D__KERNEL__ -g -DKBUILD_MODFILE='"fs/ext4/ext4"' -D'A B="c\\d"' -c -o fs/ext4/mballoc.o fs/ext4/mballoc.c`,
  );
  assert.deepEqual(unit, {
    source: 'fs/ext4/mballoc.c',
    spelling: 'fs/ext4/mballoc.c',
    object: 'fs/ext4/mballoc.o',
    compiler: 'gcc-12',
    args: [
      '-nostdinc',
      '-I./include',
      '-include',
      './include/linux/kconfig.h',
      '-D__KERNEL__',
      '-g',
      '-DKBUILD_MODFILE="fs/ext4/ext4"',
      '-DA B="c\\d"',
    ],
    kind: 'c',
    owner: 'vmlinux',
  });
  assert.equal(outsideKernel(unit), undefined);
});

test('parseUnitCommand() names the modules that a unit is part of', () => {
  const command = `gcc-12 -D__KERNEL__ -DMODULE -DKBUILD_MODNAME='"nf_nat"' -c -o net/a.o net/a.c`;
  assert.deepEqual(parse('net/a.o', command).owner, ['nf_nat']);
  assert.deepEqual(parse('net/a.o', command, ['net/nf-nat', 'net/other']).owner, ['nf_nat', 'other']);
  assert.deepEqual(
    parse('x/vm-enter.o', 'gcc-12 -D__KERNEL__ -DMODULE -c -o x/vm-enter.o x/vm-enter.S').owner,
    ['vm_enter'],
  );
});

test('parseUnitCommand() keeps the spelling of a source beside its plain path', () => {
  const path = 'arch/x86/kvm/../../../virt/kvm/kvm_main';
  const unit = parse(`${path}.o`, `gcc-12 -D__KERNEL__ -c -o ${path}.o ${path}.c`);
  assert.equal(unit.source, 'virt/kvm/kvm_main.c');
  assert.equal(unit.object, 'virt/kvm/kvm_main.o');
  assert.equal(unit.spelling, `${path}.c`);
});

test('parseUnitCommand() refuses what is no compiler command', () => {
  for (const command of [
    '',
    'gcc-12',
    'gcc-12 -c -o a.o',
    'gcc-12 -E -o a.o a.c',
    '/bin/sh -c -o a.o a.c',
    'gcc-12 -c a.c',
  ]) {
    assert.throws(() => parse('a.o', command), { code: 'compile-database-damaged' }, command);
  }
});

test('outsideKernel() tells what never runs as kernel code', () => {
  const partOf = (object: string, flags = '-D__KERNEL__') =>
    outsideKernel(parse(object, `gcc-12 ${flags} -c -o ${object} ${object.replace('.o', '.c')}`));
  assert.equal(partOf('arch/x86/entry/vdso/vma.o'), undefined);
  assert.equal(partOf('arch/x86/entry/vdso/vclock_gettime.o'), 'the vDSO');
  assert.equal(partOf('arch/x86/entry/vdso/new.o', '-D__KERNEL__ -DBUILD_VDSO'), 'the vDSO');
  assert.equal(partOf('arch/x86/realmode/init.o'), undefined);
  assert.equal(partOf('arch/x86/realmode/rm/regs.o'), 'the real-mode trampoline');
  assert.equal(partOf('drivers/firmware/efi/libstub/lib-cmdline.o'), 'the EFI boot stub');
  assert.equal(partOf('scripts/mod/modpost.o', '-O2'), 'a program that the build itself runs');
});
