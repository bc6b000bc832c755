/**
 * A kernel of a few functions for differ tests: compiled with the flags that matter of a real one, linked at a kernel's
 * address, read back through the same classes as a shipped vmlinux. Only its symbol table is the ELF file's own.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ShippedVmlinux, type SymbolTable } from '@kstitch/diff/run-pre/shipped-vmlinux';
import { STB, STT } from '@kstitch/elf/constants';
import type { ElfFile } from '@kstitch/elf/model';
import { readElf } from '@kstitch/elf/read';
import { FtraceSites } from '@kstitch/kernel/ftrace-sites';
import { KernelImage } from '@kstitch/kernel/kernel-image';
import { compileC } from './compile.ts';

/** As Debian 12's kernels are compiled, less the warnings. */
export const kernelFlags: readonly string[] = [
  '-O2',
  '-std=gnu11',
  '-ffreestanding',
  '-fno-common',
  '-fno-strict-aliasing',
  '-mcmodel=kernel',
  '-mno-red-zone',
  '-mno-sse',
  '-fcf-protection=none',
  '-fno-asynchronous-unwind-tables',
  '-fno-stack-protector',
  '-fno-jump-tables',
  '-mindirect-branch=thunk-extern',
  '-mindirect-branch-register',
  '-mfunction-return=thunk-extern',
  '-pg',
  '-mrecord-mcount',
  '-mfentry',
];

export const sectionFlags: readonly string[] = ['-ffunction-sections', '-fdata-sections'];

/** Sizes of Debian 12's 6.1. */
export const entrySizes = {
  altInstruction: 12,
  altReplacementLength: 11,
  bug: 12,
  jump: 16,
  exception: 12,
  paravirt: 16,
} as const;

const linkerScript = `
SECTIONS {
  .data..percpu 0 : { *(.data..percpu) }
  . = 0xffffffff81000000;
  .text : { *(.text .text.*) }
  .sched.text : { *(.sched.text) }
  .spinlock.text : { *(.spinlock.text) }
  .cpuidle.text : { *(.cpuidle.text) }
  .noinstr.text : { *(.noinstr.text) }
  .ref.text : { *(.ref.text) }
  .rodata : { *(.rodata .rodata.*) }
  __mcount_loc : { *(__mcount_loc) }
  __tables : { *(__bug_table) *(__jump_table) *(__ex_table) *(__param) *(.altinstr*) }
  __tracepoints : { *(__tracepoints) }
  .static_call.text : { *(.static_call.text) }
  __dyndbg : { *(__dyndbg) }
  .data..ro_after_init : {
    __start_ro_after_init = .;
    *(.data..ro_after_init)
    __end_ro_after_init = .;
  }
  new_table : { *(new_table) }
  runtime : { *(runtime_*) }
  .data : { *(.data .data.*) }
  .bss : { *(.bss .bss.*) }
  . = ALIGN(4096);
  __init_begin = .;
  .init.text : { *(.init.text) }
  .init.data : { *(.init.data) }
  __init_end = .;
  /DISCARD/ : { *(.discard.*) *(.comment) *(.note.*) }
}
`;

/** What every small kernel has besides the unit. */
const common = `
void __fentry__(void) {}
void __x86_return_thunk(void) {}
`;

/**
 * @param unit - C source of the unit under test
 * @param rest - C sources of the rest of the kernel, one a unit, linked before it
 * @returns the linked kernel, as a stage of the differ sees a shipped one
 */
export function linkSmallKernel(unit: string, rest: readonly string[]): ShippedVmlinux {
  const directory = mkdtempSync(join(tmpdir(), 'kstitch-small-kernel-'));
  try {
    const objects = [common, ...rest, unit].map(source => compileC(source, kernelFlags));
    const names = objects.map((bytes, i) => {
      const name = `${i}.o`;
      writeFileSync(join(directory, name), bytes);
      return name;
    });
    writeFileSync(join(directory, 'kernel.lds'), linkerScript);
    execFileSync('ld', ['-T', 'kernel.lds', '-e', '0', '-z', 'noexecstack', '-o', 'vmlinux', ...names], {
      cwd: directory,
    });
    const elf = readElf(new Uint8Array(readFileSync(join(directory, 'vmlinux'))), 'vmlinux');
    return new ShippedVmlinux(new KernelImage(elf), symbolTableOf(elf), ftraceSitesOf(elf));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** As kallsyms has them, as far as the bind tells. */
const letters: Readonly<Record<number, string>> = { [STB.LOCAL]: 't', [STB.GLOBAL]: 'T', [STB.WEAK]: 'W' };

function symbolTableOf(elf: ElfFile): SymbolTable {
  const all = elf.symbols
    .filter(symbol => symbol.name !== '' && symbol.type !== STT.FILE && symbol.type !== STT.SECTION)
    .map(({ name, st_value, bind }) => ({ name, address: st_value, type: letters[bind] ?? 'T' }))
    .sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  return {
    named: name => all.filter(symbol => symbol.name === name),
    at: address => all.filter(symbol => symbol.address === address),
    between: (start, end) => all.filter(symbol => symbol.address >= start && symbol.address < end),
  };
}

function ftraceSitesOf(elf: ElfFile): FtraceSites {
  const bytes = elf.sections.find(section => section.name === '__mcount_loc')?.bytes ?? new Uint8Array();
  return new FtraceSites(new BigUint64Array(bytes.slice().buffer));
}
