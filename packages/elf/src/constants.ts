/**
 * Names of the ELF specification (gABI, x86-64 psABI, GNU and LLVM extensions) and of Linux's additions
 * (`include/uapi/linux/elf.h`, `include/linux/livepatch.h`), spelled as there without the common prefix: `SHT.RELA` is `SHT_RELA`.
 */

/** Indices into `e_ident`. */
export const EI = { CLASS: 4, DATA: 5, VERSION: 6, OSABI: 7, ABIVERSION: 8, NIDENT: 16 } as const;

export const ELFCLASS = { NONE: 0, ELF32: 1, ELF64: 2 } as const;

export const ELFDATA = { NONE: 0, LSB: 1, MSB: 2 } as const;

/** `e_version` and `e_ident[EI_VERSION]`. */
export const EV = { NONE: 0, CURRENT: 1 } as const;

/** `e_type` */
export const ET = { NONE: 0, REL: 1, EXEC: 2, DYN: 3, CORE: 4 } as const;

/** `e_machine` */
export const EM = {
  NONE: 0,
  I386: 3,
  MIPS: 8,
  PPC64: 21,
  S390: 22,
  ARM: 40,
  X86_64: 62,
  AARCH64: 183,
  RISCV: 243,
  BPF: 247,
  LOONGARCH: 258,
} as const;

/** `sh_type` */
export const SHT = {
  NULL: 0,
  PROGBITS: 1,
  SYMTAB: 2,
  STRTAB: 3,
  RELA: 4,
  HASH: 5,
  DYNAMIC: 6,
  NOTE: 7,
  NOBITS: 8,
  REL: 9,
  SHLIB: 10,
  DYNSYM: 11,
  INIT_ARRAY: 14,
  FINI_ARRAY: 15,
  PREINIT_ARRAY: 16,
  GROUP: 17,
  SYMTAB_SHNDX: 18,
  RELR: 19,
  LLVM_ADDRSIG: 0x6fff4c03,
  GNU_ATTRIBUTES: 0x6ffffff5,
  GNU_HASH: 0x6ffffff6,
  GNU_VERDEF: 0x6ffffffd,
  GNU_VERNEED: 0x6ffffffe,
  GNU_VERSYM: 0x6fffffff,
  X86_64_UNWIND: 0x70000001,
} as const;

/** `sh_flags`, all below 2^53 and held in a `number`; test them with {@link hasFlag}. */
export const SHF = {
  WRITE: 0x1,
  ALLOC: 0x2,
  EXECINSTR: 0x4,
  MERGE: 0x10,
  STRINGS: 0x20,
  INFO_LINK: 0x40,
  LINK_ORDER: 0x80,
  OS_NONCONFORMING: 0x100,
  GROUP: 0x200,
  TLS: 0x400,
  COMPRESSED: 0x800,
  /** Linux: the relocations of this section are applied by livepatch, once its target object is loaded. */
  RELA_LIVEPATCH: 0x00100000,
  GNU_RETAIN: 0x00200000,
  X86_64_LARGE: 0x10000000,
  EXCLUDE: 0x80000000,
} as const;

/** Reserved section header indices. */
export const SHN = {
  UNDEF: 0,
  LORESERVE: 0xff00,
  X86_64_LCOMMON: 0xff02,
  /** Linux: the symbol is resolved by livepatch (`.klp.sym.*`). */
  LIVEPATCH: 0xff20,
  ABS: 0xfff1,
  COMMON: 0xfff2,
  XINDEX: 0xffff,
} as const;

/** Symbol binding, the high four bits of `st_info`. */
export const STB = { LOCAL: 0, GLOBAL: 1, WEAK: 2, GNU_UNIQUE: 10 } as const;

/** Symbol type, the low four bits of `st_info`. */
export const STT = {
  NOTYPE: 0,
  OBJECT: 1,
  FUNC: 2,
  SECTION: 3,
  FILE: 4,
  COMMON: 5,
  TLS: 6,
  GNU_IFUNC: 10,
} as const;

/** Symbol visibility, the low two bits of `st_other`. */
export const STV = { DEFAULT: 0, INTERNAL: 1, HIDDEN: 2, PROTECTED: 3 } as const;

/** `p_type` */
export const PT = {
  NULL: 0,
  LOAD: 1,
  DYNAMIC: 2,
  INTERP: 3,
  NOTE: 4,
  SHLIB: 5,
  PHDR: 6,
  TLS: 7,
  GNU_EH_FRAME: 0x6474e550,
  GNU_STACK: 0x6474e551,
  GNU_RELRO: 0x6474e552,
  GNU_PROPERTY: 0x6474e553,
} as const;

/** `p_flags` */
export const PF = { X: 1, W: 2, R: 4 } as const;

/** `e_phnum` that says: the real number is in `sh_info` of section header 0. */
export const PN_XNUM = 0xffff;

/** `n_type` of notes whose name is `GNU`. */
export const NT = { GNU_ABI_TAG: 1, GNU_BUILD_ID: 3, GNU_PROPERTY_TYPE_0: 5 } as const;

/** First word of a section group. */
export const GRP = { COMDAT: 0x1 } as const;

/** Sizes of the ELF64 structures in bytes. */
export const sizeOf = { Ehdr: 64, Phdr: 56, Shdr: 64, Sym: 24, Rela: 24, Word: 4 } as const;

/**
 * `&` on numbers is signed 32-bit in JavaScript; this stays right for `SHF_EXCLUDE` and for flags above 2^32.
 *
 * @param flags - `sh_flags`, `p_flags`
 * @param flag - one bit
 * @returns whether the bit is set
 */
export function hasFlag(flags: number, flag: number): boolean {
  return Math.floor(flags / flag) % 2 === 1;
}
