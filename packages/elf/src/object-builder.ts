/**
 * An ELF object that is being made or changed.
 *
 * Sections and symbols have ids that stay what they are while others come and go; every number of the file (section
 * and symbol indices, `sh_link`, `sh_info`, offsets, `sh_name`) is computed by `writeElf` from the ids. Order is order
 * of addition; the writer puts local symbols before all others, as the format demands.
 */
import { SHF, SHN, SHT, STB, STT } from './constants.ts';
import type { ElfHeader, Segment } from './model.ts';

declare const sectionIdBrand: unique symbol;
declare const symbolIdBrand: unique symbol;

/** A section of one {@link ObjectBuilder}. Never reused, not an index of the written file. */
export type SectionId = number & { readonly [sectionIdBrand]: true };

/** A symbol of one {@link ObjectBuilder}. Never reused, not an index of the written file. */
export type SymbolId = number & { readonly [symbolIdBrand]: true };

export interface RelocationEntry {
  /** Byte offset in the target section. */
  r_offset: number;
  r_type: number;
  /** Undefined for a relocation without a symbol (index 0). */
  symbol: SymbolId | undefined;
  r_addend: bigint;
}

/**
 * The tables that `writeElf` fills in. A builder need not have them: missing ones are appended as `.symtab`, `.strtab`,
 * `.shstrtab`, `.symtab_shndx`. They are sections here only so that a file that is read and written keeps its order.
 */
export type GeneratedTable =
  | 'symbols'
  | 'symbol-names'
  | 'section-names'
  /** One string table for symbols and sections, as clang writes it. */
  | 'all-names'
  /** `SHT_SYMTAB_SHNDX`; left out of the written file when no symbol needs it. */
  | 'extended-indices';

export type SectionContent =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** `SHT_NOBITS`; size in bytes. */
  | { readonly kind: 'nobits'; readonly size: number }
  /** `SHT_RELA`. There may be several for one target. */
  | { readonly kind: 'relocations'; readonly target: SectionId; readonly entries: RelocationEntry[] }
  | {
      readonly kind: 'group';
      readonly signature: SymbolId;
      /** `GRP_*` */
      readonly flags: number;
      readonly members: readonly SectionId[];
    }
  | { readonly kind: 'generated'; readonly table: GeneratedTable };

/** Part of a file, in bytes. */
export interface FilePlace {
  readonly offset: number;
  readonly size: number;
}

export interface BuilderSection {
  readonly id: SectionId;
  name: string;
  sh_type: number;
  sh_flags: number;
  sh_addr: bigint;
  sh_addralign: number;
  sh_entsize: number;
  /** `sh_link` of a section with `bytes` or `nobits` (`SHF_LINK_ORDER`, `.dynsym`); the others' is computed. */
  link: SectionId | undefined;
  /** `sh_info` of a section with `bytes` or `nobits`: a section's index (`SHF_INFO_LINK`) or a plain number. */
  info: { readonly section: SectionId } | number;
  content: SectionContent;
  /** Where the section must stay in the file; only where there is an {@link ExecutableImage}, and inside of it. */
  readonly pinned: FilePlace | undefined;
}

/** Where a symbol is: in a section, or one of the reserved indices. */
export type SymbolPlace =
  | SectionId
  | 'undefined'
  | 'absolute'
  | 'common'
  /** `SHN_LIVEPATCH`: livepatch looks it up when it loads the module. */
  | 'livepatch'
  /** A processor's or system's own, `SHN_LORESERVE` or above. */
  | { readonly st_shndx: number };

export interface BuilderSymbol {
  readonly id: SymbolId;
  name: string;
  st_value: bigint;
  st_size: bigint;
  /** `STB_*` */
  bind: number;
  /** `STT_*` */
  type: number;
  st_other: number;
  place: SymbolPlace;
}

/**
 * What an executable keeps when it is rewritten: its segments map file offsets to addresses, so the part of the file
 * that they cover stays byte for byte where it is.
 */
export interface ExecutableImage {
  /** The file from its start to the end of its last segment. */
  readonly bytes: Uint8Array;
  /** In bytes. */
  readonly e_phoff: number;
  readonly segments: readonly Segment[];
}

/** What the ELF header of a written file says; the rest of it is computed. */
export type BuilderHeader = Omit<ElfHeader, 'e_phoff' | 'e_shstrndx'>;

/** What to add; what is left out follows from the content. */
export type SectionSpec = Pick<BuilderSection, 'name' | 'content'> &
  Partial<Omit<BuilderSection, 'id' | 'name' | 'content'>>;

/** What to add; what is left out is 0: an untyped local symbol. */
export type SymbolSpec = Pick<BuilderSymbol, 'name' | 'place'> &
  Partial<Omit<BuilderSymbol, 'id' | 'name' | 'place'>>;

export class ObjectBuilder {
  header: BuilderHeader;
  readonly image: ExecutableImage | undefined;
  // Indexed by id; undefined where one was removed.
  readonly #sections: (BuilderSection | undefined)[] = [];
  readonly #symbols: (BuilderSymbol | undefined)[] = [];
  readonly #sectionSymbols = new Map<SectionId, SymbolId>();

  /**
   * @param header - as the file shall have it
   * @param image - only for executables; given, sections can be added but not removed
   */
  constructor(header: BuilderHeader, image?: ExecutableImage) {
    this.header = header;
    this.image = image;
  }

  addSection(spec: SectionSpec): SectionId {
    const id = this.#sections.length as SectionId;
    this.#sections.push({
      ...defaultsFor(spec.content),
      sh_addr: 0n,
      link: undefined,
      info: 0,
      pinned: undefined,
      ...spec,
      id,
    });
    return id;
  }

  /**
   * @returns the section itself, to be looked at and changed
   * @throws RangeError - when there is none of that id, or no longer
   */
  section(id: SectionId): BuilderSection {
    const section = this.#sections[id];
    if (section === undefined) throw new RangeError(`section ${id} does not exist or was removed`);
    return section;
  }

  hasSection(id: SectionId): boolean {
    return this.#sections[id] !== undefined;
  }

  /**
   * Removes this section alone. What refers to it (relocation sections, groups, symbols) has to be removed or changed
   * too before the object is written.
   */
  removeSection(id: SectionId): void {
    const { name } = this.section(id);
    if (this.image !== undefined) {
      throw new RangeError(
        `section '${name}' cannot be removed: the dynamic symbols of an executable count on it`,
      );
    }
    this.#sections[id] = undefined;
  }

  /** In the order of the file. */
  sections(): BuilderSection[] {
    return this.#sections.filter(section => section !== undefined);
  }

  /** @returns the sections of that name (an object may have several, `.text` of each group for example) */
  sectionsNamed(name: string): BuilderSection[] {
    return this.sections().filter(section => section.name === name);
  }

  /** @returns every relocation section whose target is `target` */
  relocationSectionsOf(target: SectionId): BuilderSection[] {
    return this.sections().filter(
      ({ content }) => content.kind === 'relocations' && content.target === target,
    );
  }

  addSymbol(spec: SymbolSpec): SymbolId {
    const id = this.#symbols.length as SymbolId;
    const symbol = {
      st_value: 0n,
      st_size: 0n,
      bind: STB.LOCAL,
      type: STT.NOTYPE,
      st_other: 0,
      ...spec,
      id,
    };
    this.#symbols.push(symbol);
    if (symbol.type === STT.SECTION && typeof symbol.place === 'number') {
      if (!this.#sectionSymbols.has(symbol.place)) this.#sectionSymbols.set(symbol.place, id);
    }
    return id;
  }

  /**
   * @returns the symbol itself, to be looked at and changed
   * @throws RangeError - when there is none of that id, or no longer
   */
  symbol(id: SymbolId): BuilderSymbol {
    const symbol = this.#symbols[id];
    if (symbol === undefined) throw new RangeError(`symbol ${id} does not exist or was removed`);
    return symbol;
  }

  hasSymbol(id: SymbolId): boolean {
    return this.#symbols[id] !== undefined;
  }

  /** Removes this symbol alone; relocations and groups that refer to it have to be changed before writing. */
  removeSymbol(id: SymbolId): void {
    this.symbol(id);
    this.#symbols[id] = undefined;
  }

  /** In order of addition, without the null symbol. */
  symbols(): BuilderSymbol[] {
    return this.#symbols.filter(symbol => symbol !== undefined);
  }

  /** @returns the section's `STT_SECTION` symbol, added when there is none */
  sectionSymbol(section: SectionId): SymbolId {
    const known = this.#sectionSymbols.get(section);
    if (known !== undefined) {
      const symbol = this.#symbols[known];
      if (symbol?.type === STT.SECTION && symbol.place === section) return known;
      this.#sectionSymbols.delete(section);
    }
    return this.addSymbol({ name: '', place: this.section(section).id, type: STT.SECTION });
  }
}

type ContentDefaults = Pick<BuilderSection, 'sh_type' | 'sh_flags' | 'sh_addralign' | 'sh_entsize'>;

function defaultsFor(content: SectionContent): ContentDefaults {
  switch (content.kind) {
    case 'bytes':
      return { sh_type: SHT.PROGBITS, sh_flags: 0, sh_addralign: 1, sh_entsize: 0 };
    case 'nobits':
      return { sh_type: SHT.NOBITS, sh_flags: SHF.WRITE | SHF.ALLOC, sh_addralign: 1, sh_entsize: 0 };
    case 'relocations':
      return { sh_type: SHT.RELA, sh_flags: SHF.INFO_LINK, sh_addralign: 8, sh_entsize: 24 };
    case 'group':
      return { sh_type: SHT.GROUP, sh_flags: 0, sh_addralign: 4, sh_entsize: 4 };
    case 'generated':
      return generatedDefaults[content.table];
  }
}

const strings: ContentDefaults = { sh_type: SHT.STRTAB, sh_flags: 0, sh_addralign: 1, sh_entsize: 0 };

const generatedDefaults = {
  symbols: { sh_type: SHT.SYMTAB, sh_flags: 0, sh_addralign: 8, sh_entsize: 24 },
  'symbol-names': strings,
  'section-names': strings,
  'all-names': strings,
  'extended-indices': { sh_type: SHT.SYMTAB_SHNDX, sh_flags: 0, sh_addralign: 4, sh_entsize: 4 },
} as const satisfies Record<GeneratedTable, ContentDefaults>;

/** The reserved section index of each {@link SymbolPlace} that has a name. */
export const reservedPlaces = {
  undefined: SHN.UNDEF,
  absolute: SHN.ABS,
  common: SHN.COMMON,
  livepatch: SHN.LIVEPATCH,
} as const;
