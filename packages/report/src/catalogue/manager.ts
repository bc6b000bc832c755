import type { CatalogueEntry } from './entry.ts';

export const managerCodes = {
  'machine-not-root': {
    kind: 'error',
    meaning:
      'What kstitch asked of the running kernel only root may read or change; what tasks do not even root, where kernel.yama.ptrace_scope is 3.',
    help: 'run the command as root, or with sudo',
    example: "read '/proc/1/task/1/patch_state': permission denied (EACCES)",
  },
  'machine-unreadable': {
    kind: 'error',
    meaning:
      'A file of /proc or /sys could not be read or written, or has more in it than the kernel ever writes; the reason stands behind the colon.',
    help: "EBUSY is a transition that has just begun: see 'kstitch status'; for anything else the kernel log may say more",
    example: "write '/sys/kernel/livepatch/kstitch_ext4_mballoc_1a2b3c4d/enabled': EBUSY",
  },
  'livepatch-unknown': {
    kind: 'error',
    meaning:
      'It is not the path of a NAME.ko, and kstitch neither loaded nor installed a livepatch of that name for the running kernel.',
    help: "give the path of NAME.ko, or a name that 'kstitch history' shows for this kernel",
    example:
      "find livepatch 'ext4': it is no path of a NAME.ko, and none of that name was loaded into or installed for '6.1.0-55-cloud-amd64'",
  },
  'livepatch-half': {
    kind: 'error',
    meaning:
      'A livepatch is two files, NAME.ko and its record, NAME.json beside it. The record is not there, or was given in place of the module.',
    help: "put NAME.json beside NAME.ko, and give the path of NAME.ko: 'kstitch build' writes both, also of a patch",
    example: "load 'out/fix.ko': its record 'out/fix.json' is not there",
  },
  'load-source-patch': {
    kind: 'error',
    meaning:
      'What was to be loaded or installed is a patch of the source code. The kernel loads modules, which are built from it.',
    help: "build a livepatch of it with 'kstitch build', and load the NAME.ko that it writes",
    example: "load 'fix.patch': it is a patch of the source, the kernel loads modules",
  },
  'list-not-root': {
    kind: 'caution',
    meaning:
      'What is known about the livepatches, which patches are in them and when they were loaded, only root may read. The list has what the kernel tells everybody.',
    help: "run 'kstitch list' as root, or with sudo",
    example: "what is in 'kstitch_ext4_mballoc_1a2b3c4d', and since when, only root may read",
  },
  'state-not-root': {
    kind: 'caution',
    meaning:
      'Whether the machine is well nobody but root may know: what is installed, and what kstitch did, lies in a folder of its own. What is shown is what the kernel tells everybody, and the exit status is 1.',
    help: "run 'kstitch status' as root, or with sudo; a monitor needs root for it too",
    example: 'what is installed, what is in the livepatches, and what was done to them only root may read',
  },
  'load-module-changed': {
    kind: 'refusal',
    meaning:
      'The bytes of the module are not those that its record is about: one of the two is of another build.',
    help: 'copy NAME.ko and NAME.json from the same place again',
    example: "the module's sha256 is '9f2c…', its record says '41d0…'",
  },
  'load-module-foreign': {
    kind: 'refusal',
    meaning: 'The module is no livepatch, or has another name inside than its record says.',
    help: "load what 'kstitch build' wrote",
    example: "the module 'dummy' is not a livepatch",
  },
  'load-other-kernel': {
    kind: 'refusal',
    meaning:
      'The livepatch is for another kernel than the one that runs: another release, or a rebuild of the same release.',
    help: 'build the livepatch for the running kernel, or boot the kernel that it is for',
    example: "the livepatch is for the kernel '6.1.0-55-cloud-amd64', '6.1.0-56-cloud-amd64' is running",
  },
  'load-modules-disabled': {
    kind: 'refusal',
    meaning:
      "The sysctl 'kernel.modules_disabled' is 1: the kernel loads no modules any more, until it is booted again.",
    help: "leave 'kernel.modules_disabled' at 0 until livepatches are loaded, and boot again",
    example: 'this kernel loads no modules until it is booted again',
  },
  'load-unsigned': {
    kind: 'refusal',
    meaning:
      'The kernel takes only signed modules, because of module.sig_enforce or because it is locked down (Secure Boot), and this one is not signed.',
    help: 'sign the module with a key that the kernel trusts, such as an enrolled machine owner key',
    example: "the module is not signed, and the kernel is locked down ('integrity')",
  },
  'load-ftrace-off': {
    kind: 'refusal',
    meaning: 'Function tracing is switched off, and livepatch redirects functions by means of it.',
    help: 'switch it on: sysctl kernel.ftrace_enabled=1',
    example: "'kernel.ftrace_enabled' is 0: no function can be redirected",
  },
  'load-tracefs-missing': {
    kind: 'caution',
    meaning:
      'tracefs shows which functions can be redirected and who traces them. It is not mounted, or only root may read it.',
    help: 'mount it: mount -t tracefs tracefs /sys/kernel/tracing',
    example: 'tracefs is not mounted, or only root may read it: who traces the functions is not known',
  },
  'load-function-missing': {
    kind: 'refusal',
    meaning: 'A function that the livepatch replaces is not among those that the running kernel can trace.',
    help: 'the running kernel is not the one that the livepatch was built for, or has switched the function off; report it with the kernel release. Where kernel.kptr_restrict is 2 it hides by which of several names it knows a function: set it to 1 and try again',
    example: "ftrace cannot reach 'ext4_mb_load_buddy_gfp()'",
  },
  'load-function-taken': {
    kind: 'refusal',
    meaning:
      'Somebody else than livepatch redirects the function, a kprobe with a post_handler for example; only one can. The kernel would refuse the livepatch.',
    help: 'end what redirects it: /sys/kernel/debug/kprobes/list shows kprobes',
    example: "'pipe_read()' is redirected by somebody else: kprobe_ftrace_handler",
  },
  'load-function-direct': {
    kind: 'caution',
    meaning:
      'A BPF program is attached to the function itself. It goes on working, and sees the call before the livepatch does.',
    help: 'nothing to do; attach the program again if it has to see the new code',
    example: "a BPF program is attached to 'pipe_read()'",
  },
  'load-kprobe-inside': {
    kind: 'caution',
    meaning:
      'A kprobe lies inside of a function that is replaced. It stays in the old code, which is not called any more.',
    help: "set the probe again in the livepatch's function, or at the beginning of the old one",
    example: "a kprobe inside of 'ext4_mb_load_buddy_gfp()' will no longer be hit",
  },
  'load-drops-livepatch': {
    kind: 'refusal',
    meaning:
      'Loading this livepatch takes another one out of force that mends something this one does not, or of which that is not known.',
    help: "build a livepatch that holds both ('kstitch build --on'), or accept the loss: --drop NAME",
    example:
      "'kstitch_b_5e6f7a8b' replaces 'kstitch_a_1a2b3c4d', and lacks its patch 'fix.patch' (CVE-2026-1234)",
  },
  'load-state-older': {
    kind: 'refusal',
    meaning:
      'A livepatch that is active changed a state of the system; this one does not know that state, or an older version of it. The kernel would refuse it.',
    help: 'build the livepatch with KLP_STATE of the same id and no lower version, or unload the active one first',
    example: "it knows version 1 of the system state 7, 'kstitch_a_1a2b3c4d' made version 2",
  },
  'load-memory-low': {
    kind: 'retry',
    meaning: 'Too little memory is available to load a module without risk for others.',
    help: 'free some memory and try again',
    example: '20 MiB of memory are available, loading may take 32 MiB',
  },
  'load-disk-low': {
    kind: 'retry',
    meaning:
      'Too little disk is free for the copy of the livepatch and for the journal, without which nothing is loaded.',
    help: 'free some space where the state folder lies, /var/lib/kstitch for root',
    example: '12 KiB are free for the livepatch and the journal, 1040 KiB are needed',
  },
  'load-name-taken': {
    kind: 'retry',
    meaning: 'A disabled livepatch of the same name is still there, and its module cannot be removed now.',
    help: 'the reasons stand above; try again when they are gone, or boot again',
    example: "load 'kstitch_ext4_mballoc_1a2b3c4d': its module is still there, disabled",
  },
  'transition-busy': {
    kind: 'retry',
    meaning: 'Another livepatch is being enabled or disabled; the kernel does one at a time.',
    help: "wait for its end, or see with 'kstitch explain' why it does not end",
    example: "livepatch 'kstitch_pipe_9b976137' is enabling",
  },
  'load-kernel-refused': {
    kind: 'error',
    meaning:
      "The kernel refused to load the module. insmod's and the kernel's words stand below the message.",
    help: 'read the words above; nothing was changed',
    example: "load 'kstitch_ext4_mballoc_1a2b3c4d': the kernel refuses it",
  },
  'load-timed-out': {
    kind: 'timed-out',
    meaning:
      'Some tasks did not leave the functions that are replaced, so the livepatch was taken back. Who they are and what moves them stands below the message.',
    help: 'end or continue these tasks and try again, or give it more time: --timeout SECONDS',
    example: "load 'kstitch_pipe_9b976137': the transition did not end within 60 s and was reversed",
  },
  'load-reversed': {
    kind: 'error',
    meaning: 'While kstitch waited for the end of the transition, somebody else reversed it.',
    help: "see 'kstitch status', then load it again",
    example: "load 'kstitch_pipe_9b976137': somebody else reversed it",
  },
  'load-force-declined': {
    kind: 'error',
    meaning: '--force asks to type the name of the livepatch, and nobody is there to type it.',
    help: 'run the command in a terminal, without --json',
    example: "force 'kstitch_pipe_9b976137': nobody is there to confirm it",
  },
  'load-not-in-force': {
    kind: 'error',
    meaning: 'The kernel says that the livepatch is active, and ftrace does not lead every function to it.',
    help: "unload it, and report this with what 'kstitch status --json' says",
    example: "load 'kstitch_pipe_9b976137': the kernel calls it active, and yet it is not in force",
  },
  'unload-not-loaded': {
    kind: 'nothing',
    meaning: 'No livepatch of that name is loaded, neither active nor disabled.',
    help: "see 'kstitch list'",
    example: "unload 'kstitch_pipe_9b976137': it is not loaded",
  },
  'unload-timed-out': {
    kind: 'timed-out',
    meaning:
      'Some tasks did not leave the functions of the livepatch, so it was enabled again. Who they are and what moves them stands below the message.',
    help: 'end or continue these tasks and try again, or give it more time: --timeout SECONDS',
    example:
      "unload 'kstitch_pipe_9b976137': the transition did not end within 60 s and was reversed: it is in force",
  },
  'unload-reversed': {
    kind: 'error',
    meaning: 'While kstitch waited for the livepatch to be disabled, somebody else enabled it again.',
    help: "see 'kstitch status', then unload it again",
    example: "unload 'kstitch_pipe_9b976137': somebody else enabled it again",
  },
  'unload-left-loaded': {
    kind: 'caution',
    meaning:
      'The livepatch is out of force, and its module was left in the kernel, because removing it is not known to be safe.',
    help: 'nothing to do: it does no harm; it is gone after the next boot',
    example: "'kstitch_pipe_9b976137' is disabled, its module stays loaded",
  },
  'reload-not-needed': {
    kind: 'nothing',
    meaning:
      'The module can be removed and loaded as ever, or only loaded where it is not there: no livepatch that is active keeps it from that, or the kernel is 6.3 or later.',
    help: 'modprobe -r MODULE && modprobe MODULE',
    example: "reload 'loop': no livepatch is in the way",
  },
  'reload-livepatch-stays': {
    kind: 'refusal',
    meaning:
      'The livepatch that patches the module cannot be taken out of force for a while and be put back: kstitch did not load it, its module may not be removed, or other livepatches are active beside it.',
    help: 'boot again to load the module afresh; or build the livepatch again under another --name, unload this one, load the module again, and load the new one',
    example: "'kstitch_loop_1a2b3c4d' cannot be taken out and put back: its module may not be removed",
  },
  'reload-module-busy': {
    kind: 'retry',
    meaning: 'The module is in use: by other modules, by devices, or by file systems that are mounted.',
    help: "end what uses it: 'lsmod' shows modules, 'losetup', 'mount' and 'ip link' devices",
    example: "module 'loop' is in use",
  },
  'reload-module-unknown': {
    kind: 'refusal',
    meaning: 'modprobe does not find the module, so that it could be removed and not be loaded again.',
    help: "put it where modprobe finds it, below /lib/modules, and run 'depmod'",
    example: "modprobe finds no module 'loop' to load again",
  },
  'reload-declined': {
    kind: 'error',
    meaning:
      'Fixes are out of force while a module is loaded again, so that it asks first. The answer was not yes, or nobody is there to answer.',
    help: 'answer y, or use --yes',
    example: "reload 'loop': not confirmed",
  },
  'reload-module-failed': {
    kind: 'error',
    meaning:
      'The module could not be removed, or not be loaded again; the words of the tool and of the kernel stand below the message. The livepatch is in force again.',
    help: 'read the words above; modprobe MODULE loads a module that is not loaded',
    example: "reload 'loop': it could not be removed",
  },
  'reload-not-restored': {
    kind: 'error',
    meaning:
      'The livepatch that was taken out of force to load the module again is not in force; why stands below the message.',
    help: "run the same command again: it goes on from there; 'kstitch status' shows what is",
    example: "reload 'loop': 'kstitch_loop_1a2b3c4d' could not be put back",
  },
  'reload-unfinished': {
    kind: 'caution',
    meaning:
      'A run of `kstitch reload-target` was killed, or could not go on: a livepatch is out of force, or the module is not loaded.',
    help: 'run the same command again: it goes on from there; modprobe MODULE loads a module where no livepatch is out of force',
    example: "loading module 'loop' again did not end: 'kstitch_loop_1a2b3c4d' is not in force",
  },
  'install-taken': {
    kind: 'refusal',
    meaning: 'Another livepatch is installed for that kernel, and the boot loads one.',
    help: "put this one in its place: 'kstitch install --replace'",
    example:
      "install 'kstitch_b_5e6f7a8b': 'kstitch_a_1a2b3c4d' is installed for '6.1.0-55-cloud-amd64', and one kernel has one",
  },
  'install-drops-patch': {
    kind: 'caution',
    meaning:
      'The livepatch that is installed now lacks source patches of the one that it takes the place of: from the next boot on, what they mend is not mended.',
    help: "build a livepatch that holds both: 'kstitch build --on'",
    example: "'kstitch_b_5e6f7a8b' lacks what 'kstitch_a_1a2b3c4d' mends: 'fix.patch'",
  },
  'uninstall-nothing': {
    kind: 'nothing',
    meaning: 'No livepatch of that name, and none for a kernel release of that name, is installed.',
    help: "see 'kstitch status'; what is loaded and not installed is taken out by 'kstitch unload'",
    example: "uninstall '6.1.0-55-cloud-amd64': nothing of that name is installed",
  },
  'install-damaged': {
    kind: 'error',
    meaning: 'What is installed for this kernel cannot be read or is not whole, and is left out.',
    help: "install it again from its file: 'kstitch install FILE'",
    example:
      "boot '6.1.0-55-cloud-amd64': 'kstitch_a_1a2b3c4d' is installed, and its module or record is missing",
  },
  'boot-guard-tripped': {
    kind: 'refusal',
    meaning:
      'The machine went down soon after it had loaded this livepatch at boot, or the kernel had an oops, so that it is left out now.',
    help: "find out why before you arm it again: 'kstitch install NAME'; 'kstitch uninstall' takes it away",
    example:
      "boot '6.1.0-55-cloud-amd64': 'kstitch_a_1a2b3c4d' is left out: the boot that loaded it, 2026-11-24T03:00:00.000Z, ended before it had settled",
  },
  'boot-oops': {
    kind: 'error',
    meaning:
      'Soon after the livepatch was loaded at boot the kernel had an oops; or it had one before, and does not count them (/sys/kernel/oops_count), so that nobody knows. Whether the livepatch did it is not known; the next boot leaves it out.',
    help: "read the kernel log; 'kstitch unload NAME' takes the livepatch out of this boot too",
    example:
      "boot '6.1.0-55-cloud-amd64': the kernel had an oops within 60 s of loading 'kstitch_a_1a2b3c4d'",
  },
  'config-malformed': {
    kind: 'error',
    meaning: 'The configuration is no TOML, or has a setting that kstitch does not know or cannot have.',
    help: 'correct the line, or take it out: the default is used then',
    example: "read '/etc/kstitch.toml': line 3: 'boot.timeuot' is no setting; there are grace, boot.timeout",
  },
  'config-ignored': {
    kind: 'caution',
    meaning:
      'The configuration cannot be read or has a mistake. Taking a livepatch out goes on with the defaults; loading one does not.',
    help: "correct the line, or say it on the command line: '--grace'",
    example:
      "read '/etc/kstitch.toml': line 3: 'boot.timeuot' is no setting; there are grace, boot.timeout; the defaults are used",
  },
  'state-open': {
    kind: 'caution',
    meaning:
      'The state folder was there already, and others may write into it: they decide what the next boot loads, and can keep kstitch waiting.',
    help: "chmod 700 the folder, and look whether what is in it is root's",
    example: "others than its owner may write into '/var/lib/kstitch'",
  },
  'journal-incomplete': {
    kind: 'caution',
    meaning:
      'How an action went on or ended could not be written to the journal, most likely because the disk is full. The action itself went on.',
    help: "free some space; 'kstitch status' shows what the kernel says, whatever the journal lacks",
    example: "write '/var/lib/kstitch/journal': no space left on device",
  },
  'journal-damaged': {
    kind: 'caution',
    meaning:
      'Lines of the journal cannot be read: the power went while one was written, or somebody edited the file.',
    help: 'nothing to do: what the kernel says is the truth, the journal only tells what came before',
    example: '1 line of the journal cannot be read',
  },
} as const satisfies Record<string, CatalogueEntry>;
