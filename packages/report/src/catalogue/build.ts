import type { CatalogueEntry } from './entry.ts';

export const buildCodes = {
  'module-absent': {
    kind: 'error',
    meaning: 'A unit of the patch belongs to a module that this kernel release does not ship.',
    help: 'Check the release; another flavour of the same version may ship the module.',
    example: "kernel 6.1.0-55-cloud-amd64 ships no module 'nouveau'",
  },
  'compile-error': {
    kind: 'refusal',
    meaning: "The patched source does not compile with this kernel's own compiler and flags.",
    help: 'correct the patch; a fix for another kernel version often needs functions that this one lacks',
    example: "fs/ext4/mballoc.c:1378: 'ENOMEN' undeclared (first use in this function)",
  },
  'compile-unpatched-failed': {
    kind: 'error',
    meaning:
      'A unit does not compile although the patch does not touch it yet: the kernel kit or the compiler is damaged.',
    help: "read the compiler's words above; `kstitch kernel verify` tells whether the kit is whole",
    example: "compile 'fs/ext4/mballoc.c' as shipped: gcc-12 failed",
  },
  'compile-database-damaged': {
    kind: 'error',
    meaning: "The kit's record of how kbuild compiles each unit cannot be read.",
    help: 'remove the kit and fetch it again: kstitch kernel fetch',
    example: "read how 'fs/ext4/mballoc.o' is compiled: the command names no source file",
  },
  'wrong-compiler': {
    kind: 'refusal',
    meaning:
      'The compiler of this machine is not the one the kernel was built with. Another version inlines and lays out differently, so that old and new code would not fit together.',
    help: "install exactly the compiler named: the kernel's own Debian release has it; `kstitch kernel verify RELEASE` shows where the code of this one differs",
    example:
      "the kernel was built with 'gcc-12 (Debian 12.2.0-14) 12.2.0', this machine has 'gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0'",
  },
  'linker-differs': {
    kind: 'caution',
    meaning:
      'The binutils of this machine are not those the kernel was linked with. The run-pre match shows whether it matters.',
    help: "nothing needs to be done as long as the run-pre match passes; else install the kernel's own binutils",
    example: "the kernel was linked with 'GNU ld (GNU Binutils for Debian) 2.40', this machine has 2.41",
  },
  'objtool-warning': {
    kind: 'refusal',
    meaning:
      'objtool found something in the new code that it cannot vouch for: an unreachable instruction, a stack it cannot follow, an indirect call without mitigation.',
    help: 'look at the functions named; the kernel could not unwind through them, or would run them unprotected',
    example:
      "objtool warns about 'kstitch_ext4_1a2b3c4d': ext4_mb_load_buddy_gfp+0x1c: unreachable instruction",
  },
  'modpost-failed': {
    kind: 'error',
    meaning: 'modpost, which checks a module against what the kernel exports, refused the livepatch.',
    help: "read modpost's words above; a symbol that is not exported should have become a klp symbol",
    example: 'link \'kstitch_ext4_1a2b3c4d\': "ext4_foo" undefined!',
  },
  'link-failed': {
    kind: 'error',
    meaning: 'kbuild did not make a module of the extracted code and the generated wrapper.',
    help: "read kbuild's words above; this is a defect of kstitch unless the disk is full or the kit is damaged",
    example: "link 'kstitch_ext4_1a2b3c4d': make failed",
  },
} as const satisfies Record<string, CatalogueEntry>;
