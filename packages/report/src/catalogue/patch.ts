import type { CatalogueEntry } from './entry.ts';

export const patchCodes = {
  'patch-empty': {
    kind: 'refusal',
    meaning: 'The file holds no unified diff: no file header, or headers without a single hunk.',
    help: 'give the output of `git format-patch`, `git diff` or `diff -u`',
    example: "read 'notes.txt': there is no unified diff in it",
  },
  'patch-malformed': {
    kind: 'refusal',
    meaning:
      'The diff contradicts itself: a hunk has more or fewer lines than its header says, a file name is missing.',
    help: 'take the patch from its source again; mail programs break long lines and trailing blanks',
    example: "read 'fix.patch': line 12: the hunk has more lines than its header says",
  },
  'patch-crlf': {
    kind: 'refusal',
    meaning:
      'Lines of the patch end in CR LF, as files of Windows and some mail programs have it, and those of the kernel source end in LF. They would fit nowhere, or bring the CR into the source.',
    help: "take the CRs off with `sed -i 's/\\r$//' PATCH`, or take the patch from its source again",
    example: "read 'fix.patch': 12 of 12 lines end in CR LF, line 1 is the first",
  },
  'patch-not-text': {
    kind: 'refusal',
    meaning:
      'The patch holds NUL bytes: it was cut off or filled up on its way, or saved as UTF-16. What it says cannot be relied on.',
    help: 'take the patch from its source again, as UTF-8 text',
    example: "read 'fix.patch': line 14 has a NUL byte; 512 of them end the file",
  },
  'patch-encoded-mail': {
    kind: 'refusal',
    meaning: 'The patch is a mail whose body is encoded for transport: base64 or quoted-printable.',
    help: 'decode it with `git mailinfo message body < PATCH > /dev/null`, and give the file `body`',
    example: "read 'fix.eml': line 9 says that the mail is encoded as quoted-printable",
  },
  'patch-not-unified': {
    kind: 'refusal',
    meaning:
      'The file holds a diff of another kind: a combined diff of a merge, which says what differs from two parents at once, or a context diff.',
    help: 'for a merge, give `git diff PARENT MERGE`; else give the output of `git diff` or `diff -u`',
    example: "read 'fix.patch': line 7 begins a combined diff",
  },
  'patch-special-file': {
    kind: 'refusal',
    meaning: 'The patch makes or changes a symbolic link or a submodule, which no unit is compiled from.',
    help: 'leave that part out of the patch',
    example: "read 'fix.patch': 'scripts/dtc/include-prefixes/arm' is a symbolic link",
  },
  'patch-mode-only': {
    kind: 'nothing',
    meaning: 'The patch changes who may read or run a file of the source, and no contents.',
    help: 'there is nothing to patch in a kernel; check that the patch is whole',
    example: "read 'fix.patch': it changes the mode of 'scripts/checkpatch.pl', and no contents",
  },
  'patch-too-large': {
    kind: 'refusal',
    meaning: 'The patch is larger, or changes more files, than any fix that could be live-patched.',
    help: 'a livepatch carries one fix: give the commits that make it, not the difference of two releases',
    example: "read 'patch-6.1.193': 52428800 bytes are more than the limit of 16777216",
  },
  'patch-path-unsafe': {
    kind: 'refusal',
    meaning: 'A file name in the patch is absolute or leads out of the kernel source with `..`.',
    help: 'patches name files as `a/fs/ext4/inode.c`: take the patch from a source you trust',
    example: "read 'fix.patch': the file name '../../etc/passwd' leads out of the kernel source",
  },
  'patch-renames-file': {
    kind: 'refusal',
    meaning: 'The patch renames or copies a file. The renamed unit has no counterpart in the running kernel.',
    help: 'leave the rename out: apply the change of the contents to the file under its old name',
    example: "read 'fix.patch': it renames 'fs/ext4/a.c' to 'fs/ext4/b.c'",
  },
  'patch-binary': {
    kind: 'refusal',
    meaning: 'The patch changes a binary file.',
    help: 'leave the binary file out; a livepatch is made from C source only',
    example: "read 'fix.patch': it changes the binary file 'Documentation/logo.gif'",
  },
  'patch-file-missing': {
    kind: 'refusal',
    meaning: 'The patch changes a file that the source of this kernel does not have.',
    help: 'the first folder of each name is taken off (`patch -p1`); else the fix is for another kernel version',
    example: "apply 'fix.patch': there is no file 'fs/ext5/inode.c' in the source of 6.1.0-55-cloud-amd64",
  },
  'patch-file-exists': {
    kind: 'refusal',
    meaning: 'The patch creates a file that is there already, with other contents.',
    help: 'the fix is for another kernel version, or part of it is applied already',
    example: "apply 'fix.patch': it creates 'fs/ext4/new.c', which exists",
  },
  'patch-does-not-apply': {
    kind: 'refusal',
    meaning:
      'A hunk fits nowhere in the file: the lines it expects are not there. The message names the first such hunk and what stands there instead.',
    help: 'take the backport of the fix for this very kernel version, or adapt the patch to the lines shown',
    example: "apply 'fix.patch': hunk 2 does not fit 'fs/ext4/mballoc.c' at line 1389",
  },
  'patch-has-fuzz': {
    kind: 'refusal',
    meaning:
      'A hunk fits only when some of its context lines are ignored. `patch` does that silently; here it is refused, for the code around the fix is not the code the fix was written for.',
    help: 'look at the context lines shown, and if the fix is right there, make the patch anew against this source',
    example: "apply 'fix.patch': hunk 1 fits 'fs/ext4/mballoc.c' at line 1375 only with fuzz 1",
  },
  'patch-already-applied': {
    kind: 'nothing',
    meaning: 'The source of this kernel already contains everything the patch does.',
    help: 'this kernel has the fix; nothing needs to be done',
    example: "apply 'fix.patch': the source of 6.1.0-56-cloud-amd64 contains it already",
  },
  'patch-touches-nothing-built': {
    kind: 'nothing',
    meaning:
      'No file of the patch takes part in building this kernel: documentation, other architectures, drivers that the flavour leaves out.',
    help: 'this kernel does not have the code that the patch fixes; check that `--kernel` names the right flavour',
    example: 'no file of the patch is compiled for 6.1.0-55-cloud-amd64',
  },
  'patch-assembly': {
    kind: 'refusal',
    meaning:
      'The patch changes assembly that is built into this kernel. Assembly has no functions that ftrace could redirect.',
    help: 'boot a fixed kernel for this one; no livepatch can replace assembly',
    example: "'arch/x86/entry/entry_64.S' is assembly",
  },
  'patch-changes-build': {
    kind: 'refusal',
    meaning:
      'The patch changes how the kernel is configured or built (Makefile, Kconfig, linker scripts, generators), or adds or removes whole units.',
    help: 'leave that part out when the fix does not need it; else boot a fixed kernel',
    example: "'fs/ext4/Makefile' decides what is built, not what a function does",
  },
  'header-reaches-assembly': {
    kind: 'refusal',
    meaning:
      'A changed header is included by assembly that is built into this kernel, and what the assembler gets to see differs with the patch.',
    help: 'leave the macro or constant that assembly uses as it is; else boot a fixed kernel for this one',
    example: "'arch/x86/include/asm/asm.h' changes 'arch/x86/lib/getuser.S', which is assembly",
  },
  'header-reaches-image': {
    kind: 'refusal',
    meaning:
      'A changed header changes code that is built for this kernel but does not run as kernel code: the vDSO, the boot loader stub, the real-mode trampoline, purgatory.',
    help: "change the kernel's own code in its .c files, or boot a fixed kernel for this one",
    example:
      "'include/vdso/helpers.h' changes 'arch/x86/entry/vdso/vclock_gettime.c', which becomes part of the vDSO",
  },
  'header-reaches-offsets': {
    kind: 'refusal',
    meaning:
      'A changed header changes the constants that the build takes out of C for assembly and for other headers (asm-offsets.h, bounds.h): the layout of a structure that assembly knows.',
    help: 'keep the layout of the structure; a shadow variable holds new state',
    example:
      "'arch/x86/include/asm/ptrace.h' changes the constants that 'arch/x86/kernel/asm-offsets.s' holds",
  },
  'header-reaches-generator': {
    kind: 'refusal',
    meaning:
      'A program or script of the build reads the changed header and makes source, tables or the layout of the kernel from it.',
    help: 'leave that header out when the fix does not need it; else boot a fixed kernel for this one',
    example: "'include/linux/mod_devicetable.h' is read by 'scripts/mod/file2alias.o', a part of the build",
  },
  'too-many-units': {
    kind: 'refusal',
    meaning:
      'The patch changes a header that more units include than `--max-units` allows. Each of them would have to be compiled three times and compared.',
    help: 'move what the fix needs from the header into the .c files it changes, or raise `--max-units`',
    example: "more than 200 units include 'include/linux/fs.h'",
  },
  'symbol-moved': {
    kind: 'refusal',
    meaning:
      'The patch takes a function or variable out of one unit and defines it in another, or defines or takes out one that another unit has a weak default of. Code that is not patched keeps using the old one, so what changes on the way would be lost.',
    help: 'change the function where it is',
    example: "the patch moves 'tcp_init_metrics' from 'net/ipv4/tcp_metrics.c' to 'net/ipv4/tcp_input.c'",
  },
  'bundle-other-kernel': {
    kind: 'refusal',
    meaning: 'A livepatch named with `--on` was built for another kernel than the one that is built for.',
    help: 'give the bundle of the livepatch for this very kernel, or build with the `--kernel` of the bundle',
    example:
      "build on 'kstitch_ext4_1a2b3c4d': it is for 6.1.0-54-cloud-amd64 (6.1.190-1), not for 6.1.0-55-cloud-amd64 (6.1.192-1)",
  },
  'patch-twice': {
    kind: 'refusal',
    meaning: 'The same patch is given twice: by name, or as part of a livepatch named with `--on`.',
    help: 'leave it out once; a bundle contains the patches of the bundles it was built on',
    example: "'fix.patch' is part of 'kstitch_ext4_1a2b3c4d' already",
  },
  'patch-outside-kernel': {
    kind: 'refusal',
    meaning:
      'The changed file is built for this kernel, but does not run as kernel code: the vDSO, the boot loader stub, the real-mode trampoline, purgatory.',
    help: 'boot a fixed kernel for this one; no livepatch reaches that code',
    example: "'arch/x86/entry/vdso/vclock_gettime.c' becomes part of the vDSO",
  },
  'patch-offset': {
    kind: 'note',
    meaning: 'A hunk fits exactly, but at another line than its header says.',
    help: 'nothing needs to be done; look at it when the file has several places that look alike',
    example: "'fs/ext4/mballoc.c': hunk 2 applied at line 1401, 12 lines below where the patch says",
  },
  'patch-file-ignored': {
    kind: 'note',
    meaning: 'A file of the patch takes no part in building this kernel; the rest of the patch does.',
    help: 'nothing needs to be done',
    example: "'Documentation/admin-guide/ext4.rst' is not compiled: documentation",
  },
  'patch-second-copy': {
    kind: 'caution',
    meaning:
      'The changed file is also compiled into code that no livepatch reaches; that copy stays as it is.',
    help: 'decide whether the fix matters there (boot loader stub, purgatory, vDSO); only a fixed kernel changes it',
    example: "'lib/cmdline.c' is also part of the EFI boot stub",
  },
} as const satisfies Record<string, CatalogueEntry>;
