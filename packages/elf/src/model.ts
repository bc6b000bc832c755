/**
 * The read model of an ELF file: what the file says, in the words of the specification, with links resolved.
 *
 * Everything is read-only and views the bytes that were read; nothing is copied. Addresses and values are `bigint`
 * (kernel addresses do not fit a double); file quantities are checked numbers.
 */
export interface ElfFile {
  /** What the caller said this is, for messages: a file name. */
  readonly what: string;
  readonly header: ElfHeader;
  readonly segments: readonly Segment[];
  /** Indexed by section header index; entry 0 is the null section (`SHN_UNDEF`). */
  readonly sections: readonly Section[];
  /** The `SHT_SYMTAB` section's symbols, indexed as relocations refer to them; empty without a symbol table. */
  readonly symbols: readonly ElfSymbol[];
  /** The whole file. */
  readonly bytes: Uint8Array;
}

export type ByteOrder = 'little' | 'big';

export interface ElfHeader {
  readonly byteOrder: ByteOrder;
  readonly osAbi: number;
  readonly abiVersion: number;
  readonly e_type: number;
  readonly e_machine: number;
  readonly e_version: number;
  readonly e_entry: bigint;
  readonly e_flags: number;
  /** Byte offset of the program headers; 0 without any. */
  readonly e_phoff: number;
  /** Index of the section that holds the section names, `SHN_XINDEX` resolved; 0 without one. */
  readonly e_shstrndx: number;
}

export interface Segment {
  readonly p_type: number;
  readonly p_flags: number;
  readonly p_offset: number;
  readonly p_vaddr: bigint;
  readonly p_paddr: bigint;
  readonly p_filesz: number;
  readonly p_memsz: bigint;
  readonly p_align: bigint;
}

export interface Section {
  readonly index: number;
  readonly name: string;
  readonly sh_type: number;
  readonly sh_flags: number;
  readonly sh_addr: bigint;
  readonly sh_offset: number;
  /** In bytes; of a `SHT_NOBITS` section the size in memory. */
  readonly sh_size: number;
  readonly sh_link: number;
  readonly sh_info: number;
  readonly sh_addralign: number;
  readonly sh_entsize: number;
  /** The contents in the file; empty for `SHT_NULL` and `SHT_NOBITS`. */
  readonly bytes: Uint8Array;
}

export interface ElfSymbol {
  readonly index: number;
  /** The name in the string table; a section symbol (`STT_SECTION`) has the empty name. */
  readonly name: string;
  readonly st_value: bigint;
  readonly st_size: bigint;
  /** `STB_*` */
  readonly bind: number;
  /** `STT_*` */
  readonly type: number;
  readonly st_other: number;
  /** Section header index, `SHN_XINDEX` already resolved; or a reserved index such as `SHN_ABS` (see `section`). */
  readonly st_shndx: number;
  /** The section it is defined in; undefined for `SHN_UNDEF`, `SHN_ABS`, `SHN_COMMON`, `SHN_LIVEPATCH`. */
  readonly section: Section | undefined;
}

export interface Relocation {
  /** Byte offset in the section that the relocation applies to (`ET_REL`). */
  readonly r_offset: number;
  readonly r_type: number;
  /** Index into {@link ElfFile.symbols}. */
  readonly r_sym: number;
  readonly r_addend: bigint;
}
