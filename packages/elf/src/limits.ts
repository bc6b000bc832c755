/** What a file may ask for at most; beyond it is refused as `elf-too-large`, whatever the machine could bear. */
export const limits = {
  /** Bytes. The longest kernel symbol has 512 (KSYM_NAME_LEN); C++ has been seen to need some thousand. */
  name: 16_384,
  /** Bytes of one string table, which is held as one JavaScript string. */
  stringTable: 256 * 1024 * 1024,
  /** Bytes of a written file. */
  writtenFile: 1024 * 1024 * 1024,
} as const;
