/**
 * A small module as kbuild leaves it, made with the real compiler but without kernel headers: what the tests of this
 * package work on. Preprocessor flags break one thing at a time.
 */
import { compileC } from '@kstitch/testkit/compile';
import type { LivepatchPlan } from './plan.ts';

/** What {@link fixtureModule} is linked for. */
export const fixturePlan: LivepatchPlan = {
  moduleName: 'kstitch_fixture_00000000',
  objects: [
    {
      name: 'vmlinux',
      functions: [
        { oldName: 'meminfo_proc_show', oldSympos: 0, unit: 'fs/proc/meminfo.c', newSymbol: 'kstitch_new_0' },
        { oldName: 'cmdline_proc_show', oldSympos: 2, unit: 'fs/proc/cmdline.c', newSymbol: 'kstitch_new_1' },
      ],
      callbacks: [],
    },
    {
      name: 'nf_tables',
      functions: [
        {
          oldName: 'nft_do_chain',
          oldSympos: 0,
          unit: 'net/netfilter/nf_tables_core.c',
          newSymbol: 'kstitch_new_2',
        },
      ],
      callbacks: [],
    },
    {
      name: 'dummy',
      functions: [],
      // One function that is two callbacks.
      callbacks: [
        { kind: 'post_patch', name: 'notice', unit: 'drivers/net/dummy.c', newSymbol: 'kstitch_new_3' },
        { kind: 'pre_unpatch', name: 'notice', unit: 'drivers/net/dummy.c', newSymbol: 'kstitch_new_3' },
      ],
    },
  ],
  states: [
    { id: 7, version: 2, unit: 'fs/proc/meminfo.c' },
    { id: 0xffff_ffff, version: 0, unit: 'fs/proc/meminfo.c' },
  ],
  references: [
    { linkName: 'show_val_kb', object: 'vmlinux', name: 'show_val_kb', sympos: 1, gate: 'vmlinux' },
    {
      linkName: 'sched_schedstats',
      object: 'vmlinux',
      name: 'sched_schedstats',
      sympos: 0,
      gate: 'nf_tables',
    },
    { linkName: '__SCK__unused', object: 'vmlinux', name: '__SCK__unused', sympos: 0, gate: 'vmlinux' },
    {
      linkName: 'nft_trace_notify',
      object: 'nf_tables',
      name: 'nft_trace_notify',
      sympos: 0,
      gate: 'nf_tables',
    },
  ],
};

const source = String.raw`
typedef unsigned long ulong;

/* The beginnings are the kernel's; the rest only has to be there. */
struct klp_func { const char *old_name; void *new_func; ulong old_sympos; ulong rest[16]; };
struct klp_object { const char *name; struct klp_func *funcs; void *callbacks[4]; ulong rest[15]; };
struct klp_state { ulong id; unsigned version; void *data; };
struct klp_patch { void *mod; struct klp_object *objs; struct klp_state *states; _Bool replace; ulong rest[21]; };

extern void kstitch_new_0(void), kstitch_new_1(void), kstitch_new_2(void), kstitch_new_3(void);
extern int klp_enable_patch(struct klp_patch *);

#define INFO(n, text) __attribute__((section(".modinfo"), used, aligned(1))) static const char info_##n[] = text;
#ifndef NOT_LIVEPATCH
INFO(livepatch, "livepatch=Y")
#endif
INFO(license, "license=" LICENSE)
INFO(name, "name=kstitch_fixture_00000000")
INFO(description, "description=für a test")
INFO(depends, "depends=" DEPENDS)
INFO(vermagic, "vermagic=6.1.0-55-cloud-amd64 SMP preempt mod_unload modversions ")

static struct klp_func functions_0[] = {
  { .old_name = "meminfo_proc_show", .new_func = kstitch_new_0 },
  { .old_name = "cmdline_proc_show", .new_func = kstitch_new_1, .old_sympos = 2 },
  { },
};
static struct klp_func functions_1[] = { { .old_name = "nft_do_chain", .new_func = kstitch_new_2 }, { } };
static struct klp_func functions_2[] = { { } };
static struct klp_object objects[] = {
  { .funcs = functions_0 },
  { .name = "nf_tables", .funcs = functions_1 },
  { .name = "dummy", .funcs = functions_2, .callbacks = { [1] = kstitch_new_3, [2] = kstitch_new_3 } },
  { },
};
static struct klp_state states[] = { { 7, STATE_VERSION }, { 0xffffffff }, { } };

extern struct module_like {
  char before[0x18], name[56], more[0x138 - 0x18 - 56]; int (*init)(void); char between[0x350 - 0x140]; void (*exit)(void); char after[THIS_MODULE_SIZE - 0x358];
} __this_module;
#ifdef NO_PATCH
#define __this_module_pointer 0
#else
#define __this_module_pointer &__this_module
#endif
static struct klp_patch patch = { .mod = __this_module_pointer, .objs = objects, .states = states, .replace = 1 };

int init_module(void);
void cleanup_module(void);
__attribute__((section(".gnu.linkonce.this_module"))) struct module_like __this_module = {
  .name = "kstitch_fixture_00000000", .init = init_module, .exit = cleanup_module,
};

struct version { ulong crc; char name[56]; };
__attribute__((section("__versions"), used)) static const struct version versions[] = {
  { 0x1111, "module_layout" }, { 0x2222, "klp_enable_patch" }, { CRC_FENTRY, "__fentry__" },
  { 0x4444, "__x86_return_thunk" },
};

__attribute__((used)) static struct klp_patch *the_patch = &patch;

asm(R"(
  .macro function name
    .type \name, @function
    \name:
    .pushsection __mcount_loc, "a"
    .quad 771f
    .popsection
    .pushsection .orc_unwind_ip, "a"
    .ifndef no_orc
    .long \name - .
    .endif
    .popsection
    .pushsection .orc_unwind, "a"
    .ifndef no_orc
    .byte 8, 0, 0, 0, 5, 2
    .endif
    .popsection
    771: call __fentry__
  .endm
  .macro return name
    772: jmp __x86_return_thunk
    .pushsection .return_sites, "a"
    .ifndef no_return_sites
    .long 772b - .
    .endif
    .popsection
    .size \name, . - \name
    .p2align 4, 0x90
  .endm

  .text
  .globl init_module, cleanup_module
  function init_module
    mov $patch, %rdi
    call klp_enable_patch
  return init_module
  function cleanup_module
  return cleanup_module

  .weak show_val_kb, sched_schedstats, nft_trace_notify, __SCK__unused
  .globl kstitch_new_0, kstitch_new_1, kstitch_new_2, kstitch_new_3
  .globl __pfx_kstitch_new_0

  function meminfo_proc_show
    call show_val_kb
  700:
  .ifdef raw_jump
    jmp 701f
  .else
    .byte 0x66, 0x90
  .endif
  .ifdef stray_weak
    .weak stray
    call stray
  .endif
  .ifdef bare_return
    ret
  .endif
  .ifdef conditional_return
    jne __x86_return_thunk
  .endif
    nop
  701:
    .pushsection __jump_table, "aw"
    .balign 8
    .long 700b - ., 701b - .
    .quad sched_schedstats + 2 - .
    .popsection
  return meminfo_proc_show
  .set kstitch_new_0, meminfo_proc_show
  .type kstitch_new_0, @function
  .set __pfx_kstitch_new_0, cleanup_module

  .section .text.unlikely, "ax"
  function cmdline_proc_show
    mov show_val_kb(%rip), %rdi
  return cmdline_proc_show
  .set kstitch_new_1, cmdline_proc_show
  .type kstitch_new_1, @function

  .section .text.nf, "ax"
  function nft_do_chain
    call nft_trace_notify
    call show_val_kb
  .ifdef stale_field
    .reloc ., R_X86_64_PC32, show_val_kb
    .long -1
  .endif
  .ifdef unknown_type
    .reloc ., R_X86_64_GOTPCREL, klp_enable_patch
    .long 0
  .endif
  .ifdef twice
    .reloc ., R_X86_64_PC32, klp_enable_patch
    .reloc ., R_X86_64_PC32, klp_enable_patch
    .long 0
  .endif
  return nft_do_chain
  .set kstitch_new_2, nft_do_chain
  .type kstitch_new_2, @function

  .section .text.notice, "ax"
  function notice
  return notice
  .set kstitch_new_3, notice
  .type kstitch_new_3, @function

  .section .data.only_klp, "aw"
  .quad nft_trace_notify
  .section .debug_info, ""
  .quad meminfo_proc_show, kstitch_new_0
  .section .note.gnu.build-id, "a", @note
  .long 4, 20, 3
  .asciz "GNU"
  .fill 20, 1, 0x42
  .section .BTF, "a"
  .long 0xeb9f
  .text
)");
`;

export interface FixtureOptions {
  /** Assembler symbols that break something: `no_orc`, `raw_jump`, `stray_weak`, `bare_return` … */
  readonly broken?: readonly string[];
  /** Preprocessor definitions that replace the defaults. */
  readonly define?: Readonly<Record<string, string>>;
}

/** @returns the module's bytes, before post-link */
export function fixtureModule({ broken = [], define = {} }: FixtureOptions = {}): Uint8Array {
  const definitions = {
    LICENSE: '"GPL"',
    DEPENDS: '""',
    THIS_MODULE_SIZE: '0x380',
    CRC_FENTRY: '0x3333',
    STATE_VERSION: '2',
    ...define,
  };
  return compileC(source, [
    '-std=gnu11',
    '-ffreestanding',
    '-mcmodel=kernel',
    '-fcf-protection=none',
    '-fno-asynchronous-unwind-tables',
    '-fno-toplevel-reorder',
    ...Object.entries(definitions).map(([name, value]) => `-D${name}=${value}`),
    ...broken.map(symbol => `-Wa,--defsym,${symbol}=1`),
  ]);
}
