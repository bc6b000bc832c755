/**
 * What becomes of each section of a compiled unit when a part of it goes into a livepatch: the one allow-list.
 *
 * A section is carried (its parts follow the functions they belong to), made again by a tool of the kernel's build, kept
 * (the shipped kernel's own copy goes on being valid), or init memory. A section that no rule names is refused as soon
 * as something selected needs it: a new kernel's new table is never guessed at.
 *
 * Order of application at load, and why each is safe: kernel/module/main.c: load_module(), arch/x86/kernel/module.c:
 * module_finalize().
 */
export type SectionTreatment =
  /** Functions, cut by symbol extents. */
  | { readonly kind: 'code' }
  /** Objects, cut by symbol extents. */
  | { readonly kind: 'data' }
  /** `SHF_MERGE | SHF_STRINGS`: known by content only. */
  | { readonly kind: 'strings' }
  /** `SHF_MERGE` without strings: constants of `sh_entsize` bytes, known by content only. */
  | { readonly kind: 'constants' }
  /** Fixed-size entries, each belonging to the function that its relocation at `key` points into. */
  | { readonly kind: 'entries'; readonly entrySize: number | 'one-relocation'; readonly key: number }
  /** Code of variable length that entries or functions refer to by offset: `.altinstr_replacement`. */
  | { readonly kind: 'chunks' }
  /** Freed after boot or after the module's init: nothing loaded later may refer to it. */
  | { readonly kind: 'init' }
  /** objtool, modpost or the linker make it for the livepatch. */
  | { readonly kind: 'regenerated'; readonly by: string }
  /**
   * The shipped kernel's copy stays valid. A difference cannot be live-patched; where it is `harmless`, nothing that runs
   * misses it.
   */
  | { readonly kind: 'kept'; readonly what: string; readonly harmless: boolean }
  /** What the patch's author asks for with kstitch.h: read when the livepatch is built, no part of it. */
  | { readonly kind: 'requests'; readonly of: 'callbacks' | 'states' }
  /** Plays no part at run time. */
  | { readonly kind: 'ignored' }
  | { readonly kind: 'unknown' };

/**
 * Sizes in bytes of the entries that differ from kernel to kernel, read from its BTF or guessed from an object
 * (guess-entry-sizes.ts). A table whose size is undefined is one that the kernel does not have, as 6.8 and later have no
 * `struct paravirt_patch_site`.
 */
export interface EntrySizes {
  readonly altInstruction: number | undefined;
  /** Offset in `struct alt_instr` of the length of the replacement. */
  readonly altReplacementLength: number;
  readonly bug: number | undefined;
  readonly jump: number | undefined;
  readonly exception: number | undefined;
  readonly paravirt: number | undefined;
}

/** Lists where in vmlinux's code the kernel writes a value at boot: a pointer or a shift count, and its name. */
export const runtimeConstantSection = /^runtime_(?:ptr|shift)_(\w+)$/;

/** Fields of `.altinstructions` that every x86-64 kernel has in this place (struct alt_instr). */
export const altInstruction = { instruction: 0, replacement: 4 } as const;

export interface SectionTraits {
  readonly name: string;
  readonly allocated: boolean;
  readonly executable: boolean;
  readonly mergeable: boolean;
  readonly strings: boolean;
  readonly note: boolean;
}

const entry = (entrySize: number | 'one-relocation' | undefined, key = 0): SectionTreatment =>
  entrySize === undefined ? { kind: 'unknown' } : { kind: 'entries', entrySize, key };

/**
 * @param section - what its header says
 * @param sizes - entry sizes of the kernel that the unit is compiled for
 * @returns what becomes of it
 */
export function treatmentOf(section: SectionTraits, sizes: EntrySizes): SectionTreatment {
  const { name } = section;
  if (name.startsWith('.discard.')) return discardTreatment(name);
  if (!section.allocated || section.note || name === '.discard') return { kind: 'ignored' };
  // Orders of a patch's author to kpatch.
  if (name.startsWith('.kpatch.')) return { kind: 'ignored' };
  // Most sections by far.
  if (section.executable && name.startsWith('.text')) return { kind: 'code' };
  if (/^\.(data|bss|rodata|ref\.data)(\.|$)/.test(name)) {
    if (section.mergeable) return { kind: section.strings ? 'strings' : 'constants' };
    return { kind: 'data' };
  }

  switch (name) {
    case '.altinstructions':
      return entry(sizes.altInstruction, altInstruction.instruction);
    case '.altinstr_replacement':
    case '.altinstr_aux':
    // Code behind an exception entry, until 5.16.
    case '.fixup':
      return { kind: 'chunks' };
    case '__bug_table':
      return entry(sizes.bug);
    case '__jump_table':
      return entry(sizes.jump);
    case '__ex_table':
      return entry(sizes.exception);
    case '.smp_locks':
      return entry(4);
    case '.parainstructions':
      return entry(sizes.paravirt);
    case '__mcount_loc':
      return entry(8);
    case '.orc_unwind':
    case '.orc_unwind_ip':
    case '.orc_header':
    case '.return_sites':
    case '.retpoline_sites':
    case '.call_sites':
    case '.static_call_sites':
    case '.ibt_endbr_seal':
    case '.cfi_sites':
      return { kind: 'regenerated', by: 'objtool' };
    // ftrace uses __mcount_loc on x86; the kernel never reads this one (FTRACE_MCOUNT_USE_CC).
    case '__patchable_function_entries':
    // Dropped when vmlinux and modules are linked.
    case '.eh_frame':
    case '.sframe':
    // Read through debugfs only: which messages the kernel was built with.
    case '.printk_index':
      return { kind: 'ignored' };
    case '.kstitch.callbacks':
      return { kind: 'requests', of: 'callbacks' };
    case '.kstitch.states':
      return { kind: 'requests', of: 'states' };
    // Each holds one object, in the order of the classes (kernel/sched/sched.h: DEFINE_SCHED_CLASS()).
    case '__stop_sched_class':
    case '__dl_sched_class':
    case '__rt_sched_class':
    case '__fair_sched_class':
    case '__idle_sched_class':
    case '__dyndbg':
    case '__verbose':
      return { kind: 'data' };
    default:
  }
  if (runtimeConstantSection.test(name)) return entry(4);
  for (const [pattern, what] of keptSections) {
    if (pattern.test(name)) return { kind: 'kept', what, harmless: harmlessTables.has(what) };
  }
  if (/^\.(init|exit|meminit|memexit)\.|^\.(\w+_)?initcall|^\.exitcall\./.test(name)) return { kind: 'init' };
  return section.executable ? { kind: 'code' } : { kind: 'unknown' };
}

/** Read by objtool on the linked livepatch and dropped from the module by the linker (scripts/module.lds.S). */
function discardTreatment(name: string): SectionTreatment {
  switch (name) {
    case '.discard.reachable':
    case '.discard.unreachable':
    case '.discard.retpoline_safe':
    case '.discard.noendbr':
    case '.discard.instr_begin':
    case '.discard.instr_end':
    case '.discard.intra_function_calls':
    case '.discard.validate_unret':
    case '.discard.func_stack_frame_non_standard':
    case '.discard.ignore_alts':
      return entry('one-relocation');
    case '.discard.unwind_hints':
      return entry('one-relocation');
    // Keeps the compiler from dropping symbols; the extracted object keeps what it selects anyway.
    case '.discard.addressable':
      return { kind: 'ignored' };
    default:
      return { kind: 'unknown' };
  }
}

/** Exports matter to modules that are loaded later, and those come from the unpatched build; descriptions matter to tools. */
const harmlessTables: ReadonlySet<string> = new Set(['an exported symbol', 'module information']);

const keptSections: readonly (readonly [RegExp, string])[] = [
  [/^_{2,3}k(symtab|crctab)|^\.export_symbol$/, 'an exported symbol'],
  [/^__param$|^__modver$/, 'a module parameter'],
  [/^\.modinfo$/, 'module information'],
  [/^__tracepoints|^__bpf_raw_tp_map$|^_ftrace_e|^__tracepoint_str$/, 'a tracepoint'],
  [/^__syscalls_metadata$/, 'a system call'],
  [/^_kprobe_blacklist$|^_error_injection_whitelist$/, 'a kprobe rule'],
  [/^\.static_call\.text$|^\.static_call_tramp_key$/, 'a static call'],
  [/^\.BTF_ids$/, 'a BTF id list'],
];
