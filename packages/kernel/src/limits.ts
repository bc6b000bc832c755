/** What a kernel may ask for at most; beyond it an input counts as damaged, whatever the machine could bear. */
export const limits = {
  /** Bytes of an unpacked vmlinux. Debian's largest has 70 MB; an allyesconfig kernel about 300. */
  vmlinux: 512 * 1024 * 1024,
  /** Entries of kallsyms; `kallsyms_seqs_of_names` counts them in three bytes. */
  kallsymsEntries: 1 << 24,
  /** Bytes of one expanded kallsyms entry. KSYM_NAME_LEN is 512 since 6.1; the kernel's own buffer has that size. */
  kallsymsName: 1024,
  /** Bytes of all expanded kallsyms names. Debian's have about 4 MB. */
  kallsymsText: 256 * 1024 * 1024,
  /** BTF types. Debian's kernels have about 100,000. */
  btfTypes: 1 << 22,
  /** Anonymous structs within each other that a member is looked for in. */
  btfNesting: 32,
} as const;
