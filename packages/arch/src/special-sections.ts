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
  /** The shipped kernel's copy stays valid; a difference in it cannot be live-patched. */
  | { readonly kind: 'kept'; readonly what: string }
  /** Plays no part at run time. */
  | { readonly kind: 'ignored' }
  | { readonly kind: 'unknown' };

/** Sizes in bytes of the entries that differ from kernel to kernel, read from its BTF. */
export interface EntrySizes {
  readonly altInstruction: number;
  /** Offset in `struct alt_instr` of the length of the replacement. */
  readonly altReplacementLength: number;
  readonly bug: number;
  readonly jump: number;
  readonly exception: number;
  /** Undefined where the kernel has no `struct paravirt_patch_site` (6.8 and later). */
  readonly paravirt: number | undefined;
}

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

const entry = (entrySize: number | 'one-relocation', key = 0): SectionTreatment => ({
  kind: 'entries',
  entrySize,
  key,
});

/**
 * @param section - what its header says
 * @param sizes - entry sizes of the kernel that the unit is compiled for
 * @returns what becomes of it
 */
export function treatmentOf(section: SectionTraits, sizes: EntrySizes): SectionTreatment {
  const { name } = section;
  if (name.startsWith('.discard.')) return discardTreatment(name);
  if (!section.allocated || section.note) return { kind: 'ignored' };

  switch (name) {
    case '.altinstructions':
      return entry(sizes.altInstruction, altInstruction.instruction);
    case '.altinstr_replacement':
    case '.altinstr_aux':
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
      return sizes.paravirt === undefined ? { kind: 'unknown' } : entry(sizes.paravirt);
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
      return { kind: 'regenerated', by: 'objtool' };
    // ftrace uses __mcount_loc on x86; the kernel never reads this one (FTRACE_MCOUNT_USE_CC).
    case '__patchable_function_entries':
      return { kind: 'ignored' };
    case '__dyndbg':
    case '__verbose':
      return { kind: 'data' };
    default:
  }
  for (const [pattern, what] of keptSections) {
    if (pattern.test(name)) return { kind: 'kept', what };
  }
  if (/^\.(init|exit|meminit|memexit)\.|^\.(\w+_)?initcall|^\.exitcall\./.test(name)) return { kind: 'init' };
  if (section.executable) return { kind: 'code' };
  if (/^\.(data|bss|rodata|ref\.data)(\.|$)/.test(name)) {
    if (section.mergeable) return { kind: section.strings ? 'strings' : 'constants' };
    return { kind: 'data' };
  }
  return { kind: 'unknown' };
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
