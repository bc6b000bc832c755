/**
 * Extract: the selected atoms of one unit become a relocatable object of their own.
 *
 * Every function and object gets a section of its own, as the compiler made it; strings, constants, chunks and
 * special-section entries are gathered by section name, because the module loader looks at one section of a name
 * (kernel/module/main.c: find_sec()). Symbols are local, so that units cannot collide; a patched function has a global
 * alias besides for the wrapper to refer to, and so has a new global that other units refer to. What the running kernel provides is undefined: global where the module
 * loader binds it, weak where post-link will make a klp symbol of it.
 */
import { EM, ET, hasFlag, SHF, SHT, STB, STT } from '@kstitch/elf/constants';
import type { Section } from '@kstitch/elf/model';
import {
  ObjectBuilder,
  type RelocationEntry,
  type SectionId,
  type SymbolId,
} from '@kstitch/elf/object-builder';
import { writeElf } from '@kstitch/elf/write';
import type { LinkNames } from './link-names.ts';
import type { KernelReference } from './references.ts';
import type { Selection } from './select/selection.ts';
import type { Atom, Entry, Reference } from './unit/atom.ts';

export interface ExtractOptions {
  /** The object that the unit is part of: gate of its klp relocations. */
  readonly gate: string;
  readonly linkNames: LinkNames;
  /** @returns the global alias of a patched function or a callback: `kstitch_new_3` */
  readonly aliasOf: (atom: Atom) => string;
  /**
   * @param key - name of a static call's key
   * @returns where the running kernel has it, or undefined when the module loader finds it through its trampoline
   */
  staticCallKey(key: string): KernelReference | undefined;
}

export interface Extraction {
  /** The relocatable object. */
  readonly object: Uint8Array;
  /** Entries carried, by special section. */
  readonly carried: ReadonlyMap<string, number>;
  /** Names bound by the module loader, sorted. */
  readonly exports: readonly string[];
}

export function extract(selection: Selection, options: ExtractOptions): Extraction {
  return new Extractor(selection, options).run();
}

/** Where an atom went. */
interface Home {
  readonly section: SectionId;
  /** Of the atom's first byte, in the section. */
  readonly offset: number;
}

/** A section that grows while atoms or entries are gathered in it. */
interface Gathering {
  readonly template: Section;
  readonly alignment: number;
  readonly parts: Uint8Array[];
  size: number;
  readonly pending: { readonly references: readonly Reference[]; readonly offset: number }[];
}

class Extractor {
  readonly #selection: Selection;
  readonly #options: ExtractOptions;
  readonly #builder = new ObjectBuilder({
    byteOrder: 'little',
    osAbi: 0,
    abiVersion: 0,
    e_type: ET.REL,
    e_machine: EM.X86_64,
    e_version: 1,
    e_entry: 0n,
    e_flags: 0,
  });
  readonly #homes = new Map<Atom, Home>();
  readonly #undefined = new Map<string, SymbolId>();
  readonly #exports = new Set<string>();
  readonly #carried = new Map<string, number>();

  constructor(selection: Selection, options: ExtractOptions) {
    this.#selection = selection;
    this.#options = options;
  }

  run(): Extraction {
    const { atoms, patched, callbacks, offered } = this.#selection;

    // First every atom gets its place, so that any reference can be written.
    const relocated: {
      readonly section: SectionId;
      readonly offset: number;
      readonly references: readonly Reference[];
    }[] = [];
    const oldNames = new Map(patched.map(f => [f.atom, f.oldName]));
    const gatherings = new Map<string, Gathering>();
    const gatheredAtoms: { readonly atom: Atom; readonly key: string; readonly offset: number }[] = [];
    for (const atom of atoms) {
      const { bytes, references } = this.#selection.codeOf(atom);
      if (atom.kind === 'function' || atom.kind === 'object') {
        const home = this.#placeAlone(atom, bytes, oldNames.get(atom) ?? atom.name);
        relocated.push({ section: home.section, offset: 0, references });
      } else {
        const key = gatheredName(atom);
        const offset = gather(gatherings, key, atom.section, alignmentOf(atom), bytes, references);
        gatheredAtoms.push({ atom, key, offset });
      }
    }
    for (const atom of atoms) {
      for (const entry of this.#selection.entriesOf(atom)) this.#gatherEntry(gatherings, entry);
    }
    const sections = new Map<string, SectionId>();
    for (const [key, gathering] of gatherings) sections.set(key, this.#addGathering(key, gathering));
    for (const { atom, key, offset } of gatheredAtoms) {
      this.#homes.set(atom, { section: sections.get(key) as SectionId, offset });
    }

    // Every atom has its place; from here on only relocations are added.
    for (const { section, references } of relocated) this.#relocate(section, [{ references, offset: 0 }]);
    for (const [key, gathering] of gatherings)
      this.#relocate(sections.get(key) as SectionId, gathering.pending);

    const { aliasOf, linkNames, gate } = this.#options;
    const named = new Set([...patched, ...callbacks].map(({ atom }) => atom));
    for (const atom of named) this.#addAlias(atom, aliasOf(atom));
    for (const atom of offered) this.#addAlias(atom, linkNames.peerName(atom.name, gate));
    this.#addStaticCallKeys();
    return {
      object: writeElf(this.#builder),
      carried: this.#carried,
      exports: [...this.#exports].sort(),
    };
  }

  #placeAlone(atom: Atom, bytes: Uint8Array, name: string): Home {
    const { section } = atom;
    const id = this.#builder.addSection({
      name: section.name,
      sh_type: section.sh_type,
      sh_flags: section.sh_flags & ~SHF.GROUP,
      sh_addralign: section.sh_addralign,
      content:
        section.sh_type === SHT.NOBITS ? { kind: 'nobits', size: atom.size } : { kind: 'bytes', bytes },
    });
    if (name !== '') {
      this.#builder.addSymbol({
        name,
        place: id,
        st_value: BigInt(atom.entry),
        st_size: BigInt(atom.size - atom.entry),
        type: atom.kind === 'function' ? STT.FUNC : STT.OBJECT,
      });
    }
    const home: Home = { section: id, offset: 0 };
    this.#homes.set(atom, home);
    return home;
  }

  #gatherEntry(gatherings: Map<string, Gathering>, entry: Entry): void {
    const { section } = entry;
    gather(gatherings, section.name, section, section.sh_addralign, entry.bytes, entry.references);
    this.#carried.set(section.name, (this.#carried.get(section.name) ?? 0) + 1);
  }

  #addGathering(name: string, gathering: Gathering): SectionId {
    const { template } = gathering;
    return this.#builder.addSection({
      name,
      sh_type: template.sh_type,
      sh_flags: template.sh_flags & ~SHF.GROUP,
      sh_addralign: gathering.alignment,
      sh_entsize: template.sh_entsize,
      content: { kind: 'bytes', bytes: Buffer.concat(gathering.parts, gathering.size) },
    });
  }

  #relocate(
    section: SectionId,
    parts: readonly { readonly references: readonly Reference[]; readonly offset: number }[],
  ): void {
    const entries: RelocationEntry[] = [];
    for (const { references, offset } of parts) {
      for (const reference of references) entries.push(this.#relocation(reference, offset));
    }
    if (entries.length === 0) return;
    this.#builder.addSection({
      name: `.rela${this.#builder.section(section).name}`,
      content: { kind: 'relocations', target: section, entries },
    });
  }

  #relocation(reference: Reference, offset: number): RelocationEntry {
    const resolution = this.#selection.resolve(reference);
    const { target } = reference;
    const entry = target.kind === 'atom' ? target.atom.entry : 0;
    let addend = target.offset - reference.bias;
    let symbol: SymbolId;
    if (resolution.kind === 'copy') {
      const home = this.#homes.get(resolution.atom);
      if (home === undefined)
        throw new RangeError(`'${resolution.atom.name}' is referred to but not selected`);
      // As the assembler does for local symbols, and objtool expects: a jump to `foo.cold` by name would be a tail call to it.
      symbol = this.#builder.sectionSymbol(home.section);
      addend += home.offset;
    } else if (resolution.kind === 'peer') {
      symbol = this.#undefinedSymbol(
        this.#options.linkNames.peerName(resolution.name, this.#options.gate),
        STB.GLOBAL,
      );
    } else if (resolution.kind === 'wrapper') {
      symbol = this.#undefinedSymbol(resolution.name, STB.GLOBAL);
    } else {
      symbol = this.#kernelSymbol(resolution);
      addend -= entry;
    }
    return { r_offset: offset + reference.offset, r_type: reference.type, symbol, r_addend: BigInt(addend) };
  }

  #kernelSymbol(reference: KernelReference): SymbolId {
    if (reference.kind === 'export') {
      this.#exports.add(reference.name);
      return this.#undefinedSymbol(reference.name, STB.GLOBAL);
    }
    const { linkNames, gate } = this.#options;
    return this.#undefinedSymbol(linkNames.nameOf(reference, gate), STB.WEAK);
  }

  #undefinedSymbol(name: string, bind: number): SymbolId {
    const known = this.#undefined.get(name);
    if (known !== undefined) return known;
    const symbol = this.#builder.addSymbol({ name, place: 'undefined', bind });
    this.#undefined.set(name, symbol);
    return symbol;
  }

  #addAlias(atom: Atom, alias: string): void {
    const home = this.#homes.get(atom);
    if (home === undefined) throw new RangeError(`'${atom.name}' has an alias but is not selected`);
    this.#builder.addSymbol({
      name: alias,
      place: home.section,
      st_value: BigInt(atom.entry),
      bind: STB.GLOBAL,
      // Were it a function too, objtool would take it for the function itself, and the jump to `foo.cold` for a tail call.
      type: STT.NOTYPE,
    });
  }

  /** objtool looks a static call's key up by name; without it, it would put the trampoline where the key belongs. */
  #addStaticCallKeys(): void {
    for (const name of this.#undefined.keys()) {
      if (!name.startsWith('__SCT__')) continue;
      const key = `__SCK__${name.slice('__SCT__'.length)}`;
      const reference = this.#undefined.has(key) ? undefined : this.#options.staticCallKey(key);
      // EXPORT_STATIC_CALL() exports the key; EXPORT_STATIC_CALL_TRAMP() does not, and leaves a .static_call_tramp_key that
      // the loader maps the trampoline by: one klp relocation less for each call.
      if (reference === undefined || (this.#exports.has(name) && reference.kind !== 'export')) continue;
      this.#kernelSymbol(reference);
    }
  }
}

function gatheredName(atom: Atom): string {
  const { section } = atom;
  // -fdata-sections names string sections for the function that uses them; here they are shared again.
  if (atom.kind === 'string') return `.rodata.str${section.sh_entsize}.${section.sh_addralign}`;
  if (atom.kind === 'constant') return `.rodata.cst${section.sh_entsize}`;
  return section.name;
}

/** Code reached by offset is not aligned; strings and constants are, each. */
function alignmentOf(atom: Atom): number {
  return atom.kind === 'chunk' ? 1 : atom.section.sh_addralign;
}

function gather(
  gatherings: Map<string, Gathering>,
  key: string,
  template: Section,
  alignment: number,
  bytes: Uint8Array,
  references: readonly Reference[],
): number {
  let gathering = gatherings.get(key);
  if (gathering === undefined) {
    gathering = { template, alignment, parts: [], size: 0, pending: [] };
    gatherings.set(key, gathering);
  }
  // Entries of one table follow each other without gaps; only what is mergeable may be padded.
  const gap = hasFlag(template.sh_flags, SHF.MERGE) ? -gathering.size & (alignment - 1) : 0;
  if (gap > 0) gathering.parts.push(new Uint8Array(gap));
  const offset = gathering.size + gap;
  gathering.parts.push(bytes);
  gathering.size = offset + bytes.length;
  gathering.pending.push({ references, offset });
  return offset;
}
