import type { CatalogueEntry } from './entry.ts';

export const vmCodes = {
  'vm-qemu-missing': {
    kind: 'error',
    meaning: 'QEMU, which runs the virtual machines, is not installed.',
    help: 'install it: apt-get install qemu-system-x86',
    example: "find 'qemu-system-x86_64': it is not installed",
  },
  'vm-qemu-died': {
    kind: 'error',
    meaning:
      "QEMU itself failed or was ended by somebody else, before the kernel in it came to an end; QEMU's own words stand below the message.",
    help: "read QEMU's words above; SIGKILL usually means that memory ran out (each of the two machines has 1 GiB)",
    example: 'boot the bare kernel: QEMU ended with signal SIGKILL',
  },
  'vm-busybox-missing': {
    kind: 'error',
    meaning:
      'The programs inside the virtual machine are one statically linked busybox, and this machine has none. The package busybox brings a dynamically linked one, which does not do.',
    help: 'install it: apt-get install busybox-static',
    example: 'find a statically linked busybox: none is installed',
  },
  'vm-module-unknown': {
    kind: 'error',
    meaning:
      'A module that the virtual machine or the reproducer needs is neither built into this kernel nor among the modules of its image package.',
    help: 'check the spelling of the module, or prove the livepatch on a flavour that has it',
    example:
      "find kernel module 'nft_flow_offload': '/lib/modules/6.1.0-55-cloud-amd64' has it neither built in nor as a module",
  },
  'vm-boot-failed': {
    kind: 'error',
    meaning:
      'The kernel did not come as far as its first program: it crashed, or was silent until the time was up. The last lines of its log stand below the message.',
    help: 'read the log above; a machine without working /dev/kvm that is busy with other things may just have been too slow: try again',
    example: 'boot the bare kernel: it took more than 180 s, its first program was not reached',
  },
  'vm-guest-unusable': {
    kind: 'error',
    meaning:
      'The kernel booted, but the virtual machine could not be set up: a module of the image package did not load, a disk did not appear.',
    help: 'read the log above: it is about the kernel package or QEMU, not about the livepatch',
    example: "boot the bare kernel: the disk '/dev/vda' did not appear",
  },
  'vm-script-failed': {
    kind: 'error',
    meaning:
      'A script that kstitch ran in a virtual machine did not come to its end: the kernel crashed, or the time was up.',
    help: 'read the log above',
    example:
      "boot 'kallsyms': the kernel crashed (BUG: kernel NULL pointer dereference, address: 0000000000000000)",
  },
  'prove-module-foreign': {
    kind: 'error',
    meaning:
      'The file is a kernel module, but not the livepatch that it should be: it is built for another kernel, is no livepatch at all, or has another name than its file.',
    help: "give the NAME.ko that 'kstitch build' wrote, under its own name, beside its NAME.json",
    example:
      "read livepatch 'ext4.ko': it is built for the kernel '6.1.0-56-cloud-amd64', not for '6.1.0-55-cloud-amd64'",
  },
  'prove-module-changed': {
    kind: 'error',
    meaning:
      'The bytes of the module are not those that its description names: one of the two is of another build.',
    help: 'build the livepatch again, or copy NAME.ko and NAME.json from the same place',
    example: "read livepatch 'ext4.ko': its sha256 is '9f2c…', its description says '41d0…'",
  },
  'prove-reproducer-invalid': {
    kind: 'error',
    meaning:
      'The reproducer is of no use as a witness: it ended with a status other than 0 (bug absent) and 1 (bug present), restarted the machine, or was said to be non-destructive and crashed the kernel.',
    help: 'what it printed stands in the log, marked `guest>`; it runs with busybox sh, KSTITCH_DISK and KSTITCH_MOUNT are set, and it must exit with 0 or 1',
    example: 'run the reproducer on the bare kernel: it ended with status 127',
  },
  'prove-not-reproduced': {
    kind: 'refusal',
    meaning:
      'The reproducer found no bug on the kernel without the livepatch, so it cannot show that the livepatch mends anything.',
    help: 'check that this kernel has the bug, and make the reproducer wait for it: a crash in the background must come before it exits',
    example: 'the reproducer passes on the bare kernel',
  },
  'prove-other-oops': {
    kind: 'refusal',
    meaning:
      'The bare kernel crashed, or did not crash, in another function than --expect-oops names: the reproducer may have met another bug.',
    help: 'compare the crash in the log with the bug that the patch mends, then change the reproducer or --expect-oops',
    example: "the bare kernel crashed in 'ext4_put_super', not in 'ext4_mb_load_buddy_gfp'",
  },
  'prove-load-refused': {
    kind: 'refusal',
    meaning:
      "The kernel refuses to load the livepatch. insmod's and the kernel's words stand below the message.",
    help: "read the kernel's words above; if the module is as 'kstitch build' wrote it, report them",
    example: 'the kernel refuses to load the livepatch',
  },
  'prove-transition-stuck': {
    kind: 'refusal',
    meaning:
      'Some tasks never left the functions that are patched, so that the livepatch never came into force, or could not be disabled. The tasks stand below the message with what they sleep in.',
    help: 'a kernel thread that sleeps for ever in a patched function cannot be switched: patch a function that it calls instead',
    example: 'the transition did not end within 60 s: 12 tasks are in its way',
  },
  'prove-still-present': {
    kind: 'refusal',
    meaning: 'With the livepatch loaded and in force, the reproducer still finds the bug.',
    help: 'check that the patch is the whole fix, and read the log of the patched boot',
    example: 'the bug is still there with the livepatch: the reproducer ended with status 1',
  },
  'prove-not-restored': {
    kind: 'refusal',
    meaning:
      'With --non-destructive the bug must show before the livepatch is loaded and again after it is disabled, in one boot; it did not, so something else than the livepatch makes the difference.',
    help: 'make the reproducer independent of its earlier runs, or leave out --non-destructive',
    example: 'the bug did not come back after the livepatch was disabled',
  },
  'prove-splat': {
    kind: 'refusal',
    meaning:
      'The kernel reported a fault while the livepatch was being proven: a crash, a warning, a lockup, a call trace.',
    help: 'read the report in the log of the patched boot; it says what the kernel was doing',
    example:
      'the kernel reported a fault at step load: WARNING: CPU: 1 PID: 92 at kernel/livepatch/core.c:1024',
  },
  'prove-unload-failed': {
    kind: 'refusal',
    meaning: 'The livepatch was disabled, but its module could not be removed.',
    help: 'something still holds the module: look for timers, work items and references that the patch adds',
    example: 'the module could not be removed after the livepatch was disabled',
  },
  'prove-incomplete': {
    kind: 'refusal',
    meaning:
      'The boot with the livepatch did not come to its end, and the kernel did not say why: it hung, was reset, or the machine was restarted.',
    help: 'read the log of the patched boot; its last `kstitch: step` line says how far it came',
    example: 'the patched kernel did not finish: it took more than 300 s at step load',
  },
  'proof-malformed': {
    kind: 'error',
    meaning: 'NAME.proof.json is not JSON, or a field is missing or has a value that it cannot have.',
    help: "prove the livepatch again: 'kstitch prove' writes the file anew",
    example: "cannot read proof 'ext4.proof.json': 2 fields are wrong",
  },
  'proof-schema': {
    kind: 'error',
    meaning:
      'NAME.proof.json was written by another version of kstitch, whose fields this one does not know.',
    help: 'prove the livepatch again with this version',
    example:
      "cannot read proof 'ext4.proof.json': its schema is 'kstitch/proof/2', this kstitch knows 'kstitch/proof/1'",
  },
} as const satisfies Record<string, CatalogueEntry>;
