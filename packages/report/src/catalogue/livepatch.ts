import type { CatalogueEntry } from './entry.ts';

const reportIt =
  'This is a mistake in kstitch: please report it together with the patch and the kernel release';
const lookWithInspect =
  'Look at the module with `kstitch inspect` and build it again; if it stays, please report it';

export const livepatchCodes = {
  'livepatch-plan-invalid': {
    kind: 'error',
    meaning:
      'What the link step handed on cannot become a livepatch module: a name that the kernel could not parse, nothing patched, or something listed twice.',
    help: reportIt,
    example: "cannot make a livepatch: patched object 'vmlinux' is listed twice",
  },
  'livepatch-link-mismatch': {
    kind: 'error',
    meaning:
      'The module that kbuild linked does not hold what was put into it: a new function is missing, is at another place, or a symbol of the kernel is suddenly defined.',
    help: reportIt,
    example: "cannot make a livepatch of the linked module: it lacks 'kstitch_new_0'",
  },
  'livepatch-name-invalid': {
    kind: 'usage',
    meaning:
      'A livepatch cannot have this name: a kernel module is called by letters, digits and underscores, and has room for 55 of them.',
    help: 'Give a shorter name, with letters a-z and digits in it',
    example: "cannot name a livepatch '???': it has no letter a-z and no digit",
  },
  'livepatch-name-taken': {
    kind: 'error',
    meaning:
      'The kernel has a module of the very name that the livepatch would get. The kernel finds modules by name and would find the wrong one.',
    help: 'Give another name with --name',
    example: "cannot name a livepatch 'kstitch_ext4_1a2b3c4d': the kernel has a module of that name",
  },
  'callback-twice': {
    kind: 'refusal',
    meaning:
      'Two files, or two places of one file, ask for the same kind of callback in the same object. Livepatch calls one function of a kind for an object.',
    help: 'Make one callback that calls both functions, in a file of the same object',
    example: "'vmlinux' has two pre_patch callbacks: save() in fs/a.c and store() in fs/b.c",
  },
  'state-twice': {
    kind: 'refusal',
    meaning:
      'A livepatch names a system state more than once. It has one version of each, which later livepatches are held against.',
    help: 'Leave KSTITCH_STATE() in one file, with the highest version; not in a header that several files include',
    example: 'system state 3 is named twice: version 1 in fs/a.c and version 2 in fs/b.c',
  },
  'livepatch-weak-undefined': {
    kind: 'refusal',
    meaning:
      'A weak undefined symbol is left in the module. The kernel loads such a module without a word and puts address 0 in its place; the first use is a crash.',
    help: reportIt,
    example:
      "nothing says where 'show_val_kb' is: the kernel would load the livepatch with address 0 in its place",
  },
  'livepatch-not-elf-module': {
    kind: 'error',
    meaning:
      'The file is an ELF file but not a kernel module: it has no `.modinfo` with a vermagic, or no `.gnu.linkonce.this_module`.',
    help: 'Give a .ko file; an object file (.o) is something for `kstitch diff-objects`',
    example: "cannot inspect 'mballoc.o': not a kernel module, it has no section '.gnu.linkonce.this_module'",
  },
  'livepatch-not-livepatch': {
    kind: 'error',
    meaning:
      'The file is a kernel module but not a livepatch: its modinfo does not say so, and the kernel would not treat it as one.',
    help: 'Give a module that `modinfo` shows with `livepatch: Y`',
    example: "cannot inspect 'ext4.ko': module 'ext4' is not a livepatch",
  },
  'livepatch-signature-malformed': {
    kind: 'error',
    meaning:
      'The file ends like a signed module, but its signature would be longer than the file. The kernel refuses such a module.',
    help: 'Copy or sign the module again',
    example: "cannot read the signature of 'kstitch_ext4_1a2b3c4d.ko': it is longer than the file",
  },
  'livepatch-object-unknown': {
    kind: 'refusal',
    meaning: 'The livepatch patches, or looks symbols up in, a module that this kernel does not ship.',
    help: 'Build the livepatch against the kit of the kernel it is for',
    example: "kernel 6.1.0-55-cloud-amd64 ships no module 'foo'",
  },
  'livepatch-symbol-missing': {
    kind: 'refusal',
    meaning:
      'Livepatch would look up a symbol that the shipped object does not have, or has less often than the rank says. The livepatch, or later the patched module, would not load.',
    help: lookWithInspect,
    example: "'vmlinux' has 1 symbol named '_rs.24', not 3",
  },
  'livepatch-symbol-ambiguous': {
    kind: 'refusal',
    meaning:
      'The shipped object has several symbols of that name and nothing says which is meant. Livepatch refuses to guess, and so does kstitch.',
    help: lookWithInspect,
    example: "'vmlinux' has 4 symbols named 'set_root' and sympos 0 names none of them",
  },
  'livepatch-symbol-moves': {
    kind: 'refusal',
    meaning:
      "A name occurs both in a module's init memory and outside of it. Its rank changes once the init memory is freed, so no rank is right both while the module loads and later.",
    help: 'The function cannot be live-patched by name in this kernel; a patch that does not need it can',
    example: "'ext4' has symbol 'setup' in '.init.text' and in '.text': its rank changes after init",
  },
  'livepatch-symbol-init': {
    kind: 'refusal',
    meaning:
      'The livepatch refers to memory that the kernel frees after boot, or a module after its init. By then something else lies there.',
    help: 'Change the patch so that it does not need what is marked __init or __initdata',
    example: "'vmlinux' has 'set_init_blocksize' in init memory, which is freed after boot",
  },
  'livepatch-function-unknown': {
    kind: 'refusal',
    meaning:
      'A function to be patched is not in the kernel, or is there several times and nothing says which is meant.',
    help: lookWithInspect,
    example: "'vmlinux' has no function 'ext4_mb_load_buddy_gfp'",
  },
  'livepatch-function-untraceable': {
    kind: 'refusal',
    meaning:
      'Livepatch redirects a function through the ftrace site at its start. This one has none: it is marked notrace or is in a part of the kernel that is not traced.',
    help: 'Patch the callers of the function instead',
    example: "'vmlinux' has no ftrace site at the start of 'do_idle'",
  },
  'livepatch-klp-symbol-malformed': {
    kind: 'refusal',
    meaning:
      'A klp symbol or relocation section does not have the form that the kernel parses, or breaks a rule about which may refer to which.',
    help: lookWithInspect,
    example: "'.klp.sym.vmlinux.foo' has no sympos",
  },
  'livepatch-plan-unmet': {
    kind: 'refusal',
    meaning:
      'The finished module does not say what it was planned to say: a function is not handed to livepatch, or a symbol is looked up that nobody asked for.',
    help: reportIt,
    example: "the module does not patch 'meminfo_proc_show' of 'vmlinux'",
  },
  'livepatch-late-relocation': {
    kind: 'refusal',
    meaning:
      'A table that the kernel reads while it loads the livepatch has a relocation that is applied only when a patched module is loaded. The kernel would read the table too early and follow garbage.',
    help: 'The patched function uses a static key or static call of the module itself: write the patch with static_key_enabled() or a plain call there',
    example: "'__jump_table' waits for module 'nf_tables', but the kernel reads it before",
  },
  'livepatch-orc-missing': {
    kind: 'refusal',
    meaning:
      'A section of code has no ORC unwind entries: objtool did not see the linked module. Stack traces through it would be unreliable and later transitions would never end.',
    help: 'Build with `delay-objtool=y` on kernels without IBT; `kstitch build` does so by itself',
    example: "'.text.tcp_rcv_established' has no entry in '.orc_unwind_ip'",
  },
  'livepatch-return-site-missing': {
    kind: 'refusal',
    meaning:
      'A function returns through the return thunk at a place that `.return_sites` does not list, or with a bare return, although this kernel replaces returns against speculation.',
    help: 'objtool has to run on the linked module with --rethunk; `kstitch build` does so by itself',
    example: "the return at '.text+0x39' is not in '.return_sites'",
  },
  'livepatch-jump-label-raw': {
    kind: 'refusal',
    meaning:
      'A static branch that objtool should have turned into a NOP is still a jump. The branch would be taken the wrong way, and the kernel stops with a BUG when the key changes.',
    help: 'objtool has to run on the linked module with --hacks=jump_label; `kstitch build` does so by itself',
    example: "the static branch at '.text+0x35' is eb 07, not a NOP",
  },
  'livepatch-relocation-unknown': {
    kind: 'refusal',
    meaning:
      "A relocation has a type that the kernel's module loader does not know, or lies outside of its section.",
    help: 'Build the unit with the options of the kernel; position-independent code has no place in a module',
    example: "'.rela.text' has a relocation of type 9 at '.text+0x1c'",
  },
  'livepatch-relocation-field': {
    kind: 'refusal',
    meaning:
      'The field of a relocation is not zero in the file. The kernel takes that for a module that was relocated already and refuses to load it.',
    help: reportIt,
    example: "'.text+0x1c' is relocated and holds ff ff ff ff, not zero",
  },
  'livepatch-relocation-twice': {
    kind: 'refusal',
    meaning:
      'Two relocations write the same field. The second finds it no longer zero, and the kernel refuses to load the module.',
    help: reportIt,
    example: "'.text+0x1c' is relocated by '.rela.text' and '.klp.rela.vmlinux..text'",
  },
  'livepatch-this-module': {
    kind: 'refusal',
    meaning:
      "The module's `struct module` is not the kernel's: another size, or init and exit functions at other places. It was built with other headers or another configuration.",
    help: 'Prepare the kernel kit again: its headers have to be those of the release',
    example: "'.gnu.linkonce.this_module' has 896 bytes, struct module of this kernel has 1280",
  },
  'livepatch-modinfo': {
    kind: 'refusal',
    meaning:
      'The module information lacks something without which the kernel refuses the module or does not treat it as a livepatch: livepatch, license=GPL, name.',
    help: reportIt,
    example: "modinfo has license 'Proprietary', and livepatch is for GPL modules only",
  },
  'livepatch-depends': {
    kind: 'refusal',
    meaning:
      'The livepatch depends on a module that it patches. It would pull that module in, and could not be loaded before it.',
    help: reportIt,
    example: "the livepatch depends on 'nf_tables', which it patches",
  },
  'livepatch-wrong-release': {
    kind: 'refusal',
    meaning:
      'The module was built for another kernel release. The kernel itself would not notice: with module versions it does not compare the release.',
    help: 'Build the livepatch for the release that runs: `uname -r`',
    example: "the module is for '6.1.0-56-cloud-amd64', the kernel is '6.1.0-55-cloud-amd64'",
  },
  'livepatch-undefined': {
    kind: 'refusal',
    meaning: 'The module uses a symbol that the kernel does not export.',
    help: reportIt,
    example: "the kernel does not export 'show_val_kb'",
  },
  'livepatch-crc': {
    kind: 'refusal',
    meaning:
      "The version (CRC) of an exported symbol that the module was built with is missing, or is not the kernel's. The kernel refuses such a module.",
    help: 'Prepare the kernel kit again: its Module.symvers has to be that of the release',
    example: "'__versions' has 0x12345678 for 'seq_printf', the kernel has 0x9abcdef0",
  },
  'livepatch-namespace': {
    kind: 'refusal',
    meaning:
      'The module uses an export of a namespace that it does not import. The kernel refuses such a module.',
    help: reportIt,
    example: "'dma_buf_get' is exported in namespace 'DMA_BUF', which the module does not import",
  },
  'livepatch-module-name-taken': {
    kind: 'refusal',
    meaning: 'The kernel ships a module of the same name as the livepatch.',
    help: 'Give another name with --name',
    example: "the kernel ships a module named 'kstitch_ext4_1a2b3c4d'",
  },
  'bundle-malformed': {
    kind: 'error',
    meaning:
      'The JSON beside a livepatch cannot be read: it is not JSON, or a field is missing, unknown or of the wrong form. The notes name each.',
    help: 'Take the file as `kstitch build` wrote it, or build the livepatch again',
    example: "cannot read bundle 'kstitch_ext4_1a2b3c4d.json': 1 field is wrong",
  },
  'bundle-schema': {
    kind: 'error',
    meaning: 'Another version of kstitch wrote the bundle, in a form that this one does not know.',
    help: 'Use the kstitch that built it, or build the livepatch again with this one',
    example:
      "cannot read bundle 'kstitch_ext4_1a2b3c4d.json': its schema is 'kstitch/bundle/2', this kstitch knows 'kstitch/bundle/1'",
  },
} as const satisfies Record<string, CatalogueEntry>;
