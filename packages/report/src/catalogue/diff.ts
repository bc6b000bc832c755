import type { CatalogueEntry } from './entry.ts';

export const diffCodes = {
  'unit-malformed': {
    kind: 'error',
    meaning:
      'A compiled object contradicts itself: a table that is not a whole number of entries, a relocation to nothing.',
    help: 'Check that the object comes from an unmodified gcc and binutils; if it does, report it with the object attached.',
    example: 'Cannot read the compiled fs/ext4/mballoc.c: string at .rodata.str1.1+0x40 has no end',
  },
  'run-pre-mismatch': {
    kind: 'refusal',
    meaning:
      "The unit, compiled from the unpatched source with the kernel's own flags, is not what the shipped kernel holds at that place. What is compared with the patch would not be what runs.",
    help: "Usually the compiler or binutils are not those of the kernel's banner, or source and image are of different versions; run `kstitch kernel verify RELEASE`.",
    example: 'the compiled fs/ext4/mballoc.c is not what the shipped vmlinux holds',
  },
  'run-pre-missing': {
    kind: 'refusal',
    meaning:
      'A function of the compiled unit is not in the shipped kernel, or not at one place with the others of its section.',
    help: 'Usually another compiler inlined differently, or the unit is not part of this kernel; run `kstitch kernel verify RELEASE`.',
    example: "section '.text' of the compiled fs/ext4/mballoc.c fits nowhere in the shipped vmlinux",
  },
  'run-pre-ambiguous': {
    kind: 'refusal',
    meaning:
      'The compiled unit fits more than one place of the shipped kernel, so its symbols cannot be told apart.',
    help: 'The kernel contains this code twice; patch a caller in another unit instead.',
    example: "section '.text' fits 2 places of the shipped vmlinux",
  },
  'run-pre-extra-symbol': {
    kind: 'refusal',
    meaning:
      'The shipped kernel has a function inside the unit that the compiled unit lacks: it was compiled differently.',
    help: 'Usually another compiler inlined differently; run `kstitch kernel verify RELEASE`.',
    example:
      "the shipped vmlinux has 'mb_find_buddy' where the compiled fs/ext4/mballoc.c has nothing of that name",
  },
  'inlining-differs': {
    kind: 'refusal',
    meaning:
      'The function is compiled differently when every function has a section of its own, which the differ needs. Callers in the running kernel may hold a copy that the patch would not reach.',
    help: 'Mark the functions concerned noinline in a version of the patch that leaves the rest alone, or patch the callers.',
    example: 'ext4_mb_foo() is compiled differently with function sections',
  },
  'data-changed': {
    kind: 'refusal',
    meaning:
      'The patch changes the initial contents, the size or the section of a variable. The running kernel has long since used and perhaps changed it.',
    help: 'Leave the variable as it is and change the code that uses it, or keep the new state in a new variable or a shadow variable.',
    example: "the patch changes the data object 'ext4_mb_seq_groups_ops'",
  },
  'init-changed': {
    kind: 'refusal',
    meaning:
      'The patch changes code or data that is used once, at boot or when the module is loaded, and is freed afterwards.',
    help: 'Move the fix into code that runs after boot; a change that only matters at boot cannot be live-patched.',
    example: 'the patch changes ext4_init_mballoc(), which runs only at boot or module load',
  },
  'section-changed': {
    kind: 'refusal',
    meaning:
      'The patch moves a function to a section that the kernel makes something of: it takes no probes there, is left out of traces, may run where the rest is not mapped. Where the running kernel has it cannot be changed.',
    help: 'Leave the annotation out of the patch (`__sched`, `__kprobes`, `noinstr`); what the code does can change without it.',
    example: "the patch moves wait_here() from section '.text.wait_here' to '.sched.text'",
  },
  'unnamed-code-changed': {
    kind: 'refusal',
    meaning:
      'The patch changes machine code that belongs to no function: inline assembly in a section of its own, without a symbol. Livepatch redirects functions and cannot reach it.',
    help: 'Leave the assembly as it is and change the function that leads to it, or leave this part of the patch out.',
    example: "the patch changes code in section '.text..refcount' that no symbol names",
  },
  'name-moved': {
    kind: 'refusal',
    meaning:
      'After the patch a global name, such as an alias, means another function or object. What calls it from elsewhere in the kernel was bound when the kernel was linked, and goes on using the old one.',
    help: 'Keep what the name means, and change the function itself: it can call another.',
    example: "the patch makes 'memmove', which was a name of '__memmove', one of '__memcpy'",
  },
  'table-changed': {
    kind: 'refusal',
    meaning:
      'The patch changes a table that the kernel reads when it boots or loads the module: exports, parameters, tracepoints.',
    help: 'Leave the export, parameter or tracepoint out of the patch; new code can be static or use a plain variable.',
    example: "the patch adds an exported symbol: '__ksymtab_foo' in section '___ksymtab+foo'",
  },
  'tracepoint-inert': {
    kind: 'caution',
    meaning:
      'A patched function of a module contains a tracepoint of that module. The kernel sets tracepoint sites up before it connects a livepatch with modules, so this one stays off.',
    help: 'Nothing needs to be done, unless somebody traces this function; the tracepoint works again when the livepatch is gone.',
    example:
      "tracepoint 'btrfs_transaction_commit' stays silent in btrfs_commit_transaction() while the livepatch is loaded",
  },
  'module-static-key': {
    kind: 'refusal',
    meaning:
      'A patched function of a module branches on a static key of a module. The kernel sets such branches up before it connects a livepatch with modules, and would read garbage.',
    help: 'Write static_key_enabled(&key) in the patched function instead of static_branch_likely() or static_branch_unlikely().',
    example: "nft_do_chain() uses the static key 'nft_counters_enabled' of module 'nf_tables'",
  },
  'read-only-static-key': {
    kind: 'refusal',
    meaning:
      'A patched function branches on a static key that was made read-only when the kernel had booted. Before 6.10 the kernel writes to a key when a module with such a branch is loaded, and would stop there.',
    help: 'Write static_key_enabled(&key) in the patched function instead of static_branch_likely() or static_branch_unlikely().',
    example:
      "__check_object_size() uses the static key 'bypass_usercopy_checks', which is read-only since boot",
  },
  'module-alternative': {
    kind: 'refusal',
    meaning:
      'A patched function of a module refers to that module in an instruction that the kernel rewrites for the processor it runs on (ALTERNATIVE(), paravirt). The kernel does so when the livepatch is loaded, before it connects it with modules: the reference would be lost or end in the middle of another instruction.',
    help: 'Take the address of the variable or function into a local variable first (with OPTIMIZER_HIDE_VAR() if the compiler sees through that), and use that one.',
    example:
      "foo_flush() refers to 'foo_cache' of module 'foo' in an instruction that the kernel rewrites for the processor",
  },
  'debug-print-own': {
    kind: 'note',
    meaning:
      "A patched function contains pr_debug() or dev_dbg(). The livepatch brings these messages as its own: /proc/dynamic_debug/control lists them under the livepatch's name, switched off at first.",
    help: 'Nothing needs to be done, unless the messages of this function had been switched on: switch on those of the livepatch.',
    example: 'the debug messages of pipe_release() are listed under the name of the livepatch',
  },
  'old-cold-part': {
    kind: 'caution',
    meaning:
      "The compiler put the unlikely code of the function that is replaced in a place of its own (`foo.cold`), and that code calls other functions. The kernel looks for the function alone on a task's stack: a task that sleeps in a call from the cold part is switched to the livepatch, and finishes the old function afterwards.",
    help: 'Nothing needs to be done, unless the patch changes what this function and others agree on (the order of locks, the meaning of a field): then reboot instead.',
    example:
      "a task that sleeps in the running kernel's ext4_free_blocks.cold() is taken for one outside of ext4_free_blocks()",
  },
  'carried-unseen': {
    kind: 'caution',
    meaning:
      "The function has no ftrace site, so that its callers are redirected in its place, and one of them ends by jumping to it. A task that sleeps in the running kernel's function then has no redirected function on its stack: it is switched to the livepatch, and finishes the old function afterwards.",
    help: 'Nothing needs to be done, unless the patch changes what this function and others agree on (the order of locks, the meaning of a field): then reboot instead.',
    example:
      "a task that sleeps in the running kernel's __do_sys_pivot_root() is taken for one outside of it",
  },
  'thread-function': {
    kind: 'caution',
    meaning:
      'The patch changes a function that a thread is started with, or one like schedule() in which kernel threads sleep. The kernel switches a task when no replaced function is on its stack, and such a thread has this one there as long as it lives: the transition does not end before, and no signal helps.',
    help: "Move the loop's body into a function of its own and patch that in a kernel to come; today, change a function that the loop calls, or stop the threads while the livepatch comes into force.",
    example:
      'pktgen_thread_worker() is the main function of a thread, and the transition waits until each such thread has left it',
  },
  'table-left': {
    kind: 'caution',
    meaning:
      'The patch changes exports or module information. The running kernel keeps its own: nothing that runs misses the change.',
    help: 'Nothing needs to be done, unless a module built with the patch is to be loaded too: it would miss the new export.',
    example: "the patch adds an exported symbol: '__ksymtab_foo' in section '___ksymtab+foo'",
  },
  'function-not-in-objects': {
    kind: 'error',
    meaning: '`kstitch diff-objects --explain` was asked about a function that neither object has.',
    help: 'Check the name; static functions that the compiler inlined or cloned have none of their own, or another (`foo.isra.0`).',
    example: "neither 'before.o' nor 'after.o' has a function 'foo'",
  },
  'may-be-line-number': {
    kind: 'caution',
    meaning:
      'Two objects, compared without their source: a function differs only where a line number may stand (an immediate argument, the line of a warning). It is reported as changed, and may not be; one that runs only at boot or module load is named by this caution alone.',
    help: 'Compile both with line numbers held equal, as `kstitch build` does, or look at it with `--explain FUNCTION`.',
    example: 'foo() differs only where a line number may stand',
  },
  'no-functional-difference': {
    kind: 'nothing',
    meaning:
      'The patch compiles to the code that is already running: a comment, a line shift, or code that this configuration leaves out.',
    help: 'There is nothing to load; check that the patch touches what this kernel is configured to build.',
    example: 'the patch makes no functional difference to fs/ext4/mballoc.c',
  },
  'identity-left-out': {
    kind: 'note',
    meaning:
      'An identity livepatch does not carry these functions of the unit: they could not be patched either. The reason is the code of what would be refused.',
    help: 'Nothing needs to be done.',
    example: '2 functions are left out of net/ipv4/tcp_input.c: no-ftrace-site',
  },
  'identity-empty': {
    kind: 'nothing',
    meaning: 'Not one function of the units could be carried into an identity livepatch.',
    help: 'The notes above say why each was left out; name another unit.',
    example: 'no function of lib/vsprintf.c can be carried unchanged',
  },
  'identity-not-a-unit': {
    kind: 'usage',
    meaning: 'The file named with --identity is no C file that this kernel compiles on its own.',
    help: 'Name a unit as a path below the kernel source; of a file that others include, name the one that includes it.',
    example: "'kernel/sched/rt.c' is no unit that 6.1.0-55-cloud-amd64 is built from",
  },
  'no-ftrace-site': {
    kind: 'refusal',
    meaning:
      'A changed function has no ftrace site at its entry, so the kernel cannot redirect it: it is notrace, noinstr or part of ftrace itself.',
    help: 'Change the functions that call it instead. A static function that is only called, by functions that can be redirected, needs no help: kstitch carries it.',
    example: 'native_sched_clock() cannot be patched: the shipped kernel has no ftrace site in it',
  },
  'weak-overridden': {
    kind: 'refusal',
    meaning:
      'The changed function is weak and another unit overrides it: the running kernel never calls this one.',
    help: 'Patch the definition that overrides it.',
    example: 'arch_report_meminfo() is overridden by another unit',
  },
  'correlation-ambiguous': {
    kind: 'refusal',
    meaning:
      'The patched code uses one of several static variables or clones of the same name, and nothing tells which one of the running kernel it is.',
    help: 'Keep the number and order of uses of the variable in each function, or give the new variable another name.',
    example: "nothing tells which 'count' of the running kernel 'count.4' is",
  },
  'boundary-ambiguous': {
    kind: 'refusal',
    meaning:
      'Where one static variable of a section ends and the next begins, the compiled code tells an address and not which of the two is meant; the patch adds or removes one of them, so that they no longer lie side by side.',
    help: 'Give the new variable no section that it shares with others (`__read_mostly`, `__ro_after_init`), or do not make it static, as for `DEFINE_PER_CPU()`; leave a removed one in place.',
    example:
      "in section '.data..read_mostly' the start of 'fresh' is the end of 'table', and the patch changes what lies there",
  },
  'symbol-unresolved': {
    kind: 'refusal',
    meaning:
      'The patched code uses a symbol that the unit did not use before and that the running kernel does not have, or has more than once.',
    help: 'Use a symbol whose name is unique in this kernel, or one that the file used already.',
    example: 'set_root is 4 symbols of the shipped vmlinux and fs/foo.c did not use any before',
  },
  'callback-not-new': {
    kind: 'refusal',
    meaning:
      'KSTITCH_PRE_PATCH() or one of its kind names a function that the patch does not add to that file. A function of the running kernel would be called with what is no argument of its own.',
    help: 'Write a new static function in the file, with the signature that kstitch.h gives, and call the other one from it.',
    example: 'the pre_patch callback pipe_release() is no function that the patch adds to fs/pipe.c',
  },
  'init-memory-reference': {
    kind: 'refusal',
    meaning: 'The patched code refers to memory that was freed after boot.',
    help: 'Do not use __init functions or __initdata in code that runs later.',
    example: "foo() refers to 'boot_params_init', which was freed after boot",
  },
  'ibt-not-a-target': {
    kind: 'refusal',
    meaning:
      'The patch takes the address of a function that nobody took the address of before. On a kernel with IBT such a function has no landing pad, or its pad was removed at boot: a call through the pointer stops the machine.',
    help: 'Give the pointer to a new function of the patch that calls this one.',
    example: 'takes the address of tcp_prune_ofo_queue(), which the shipped vmlinux calls directly only',
  },
  'short-branch': {
    kind: 'refusal',
    meaning:
      'The assembler knew how far two functions of one section are apart and used the short form of a jump, which reaches 127 bytes. In a livepatch they are further apart.',
    help: 'Patch the functions that call this one instead, or keep the compiler from ending it with a jump: use what the other function returns.',
    example:
      "rwsem_wake() has a branch of two bytes to a function that lies beside it in section '.sched.text'",
  },
  'runtime-constant': {
    kind: 'refusal',
    meaning:
      'A patched function works with a number that the kernel writes into the instructions of vmlinux at boot, and into no module. USER_PTR_MAX (access_ok(), copy_from_user() …) is read from its variable instead; for this one that is not possible.',
    help: 'Make the change in a caller that does not use the constant itself, or have the patched function call one that stays as it is.',
    example: "d_hash() uses the runtime constant 'd_hash_shift', which only vmlinux is given at boot",
  },
  'section-unsupported': {
    kind: 'refusal',
    meaning: 'Selected code or data lies in, or is named by, a section that kstitch has no rule for.',
    help: 'Leave out what needs the section; if the section belongs to an ordinary kernel feature, report it.',
    example: "'foo' lies in section '__earlycon_table', for which there is no rule",
  },
} as const satisfies Record<string, CatalogueEntry>;
