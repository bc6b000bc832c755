import type { SectionTreatment } from '@kstitch/arch/special-sections';
import { hasFlag, SHF, STB } from '@kstitch/elf/constants';
import type { ElfSymbol, Section } from '@kstitch/elf/model';
import { type Atom, type Entry, indexAround, type KeptTable, type Reference, type Target } from './atom.ts';
import { CodeGaps } from './code-gaps.ts';
import type { CompiledObject } from './compiled-object.ts';
import { firstFrom } from './gather-relocations.ts';
import {
  filesOfSymbols,
  inOrderOfPlace,
  isEmptyObject,
  namesPadding,
  paddingStart,
  patchablePadding,
  symbolsBySection,
} from './symbol-extents.ts';

/** An atom while its references and entries are still being gathered. */
export interface GrowingAtom extends Atom {
  bytes: Uint8Array;
  readonly references: Reference[];
  readonly entries: Entry[];
}

/** Sections whose atoms are what their symbols name. */
const cutByExtents: ReadonlySet<SectionTreatment['kind']> = new Set([
  'code',
  'data',
  'init',
  'kept',
  'unknown',
]);

/** @returns whether the atoms of a section are what its symbols name */
export function isCutByExtents({ kind }: SectionTreatment): boolean {
  return cutByExtents.has(kind);
}

/** Where the atoms of an object lie: functions and objects from the beginning, pieces of other sections as they are asked for. */
export class AtomMap {
  /** In the order in which they came into being; an atom's id is its index. */
  readonly atoms: GrowingAtom[] = [];
  /** Code that no symbol covers, such as `.text..refcount`. */
  readonly gaps = new CodeGaps();
  readonly #object: CompiledObject;
  /** Empty unless the object was linked from several. */
  readonly #files: readonly (string | undefined)[];
  /** By section index, ascending by offset. */
  readonly #bySection: (GrowingAtom[] | undefined)[] = [];
  readonly #bySymbol: (GrowingAtom | undefined)[] = [];
  /** Atoms that a local symbol names. */
  readonly #local = new Set<Atom>();
  /** Strings, constants and chunks: by section index, then by offset and size. */
  readonly #byContent: (Map<number, GrowingAtom> | undefined)[] = [];

  constructor(object: CompiledObject) {
    this.#object = object;
    this.#files = filesOfSymbols(object.file);
    this.#cutByExtents();
  }

  /** @returns functions and objects of a section, ascending by offset */
  inSection(section: Section): readonly GrowingAtom[] {
    return this.#bySection[section.index] ?? [];
  }

  ofSymbol(symbol: ElfSymbol): GrowingAtom | undefined {
    return this.#bySymbol[symbol.index];
  }

  /**
   * The atom whose extent covers an offset; where a section holds just one, that one whatever the offset. Before the first
   * and behind the last it is that: `table - 8` is what a compiler makes of `table[i - 1]`.
   */
  around(section: Section, offset: number): GrowingAtom | undefined {
    const atoms = this.#bySection[section.index];
    return atoms?.[indexAround(atoms, offset)];
  }

  /**
   * What a relocation against a section symbol means. The assembler writes one where the source has a local name, and what
   * is left of `table + ARRAY_SIZE(table)` is the place where the next object begins.
   */
  local(section: Section, position: number): Extract<Target, { kind: 'atom' }> | undefined {
    const atoms = this.#bySection[section.index];
    const index = atoms === undefined ? 0 : indexAround(atoms, position);
    const atom = atoms?.[index];
    if (atom === undefined) return undefined;
    const ending = atoms?.[index - 1];
    const isBoundary =
      atom.kind === 'object' &&
      position === atom.offset &&
      ending !== undefined &&
      ending.size > 0 &&
      ending.offset + ending.size === position &&
      this.#local.has(ending);
    if (!isBoundary) return { kind: 'atom', atom, offset: position - atom.offset };
    // Nothing, or what would have been referred to by its name.
    const isEnd = atom.name === '' ? this.#isBlank(atom) : !this.#local.has(atom);
    if (isEnd) return { kind: 'atom', atom: ending, offset: ending.size };
    return { kind: 'atom', atom, offset: 0, ...(atom.name === '' ? {} : { orEndOf: ending }) };
  }

  /** The space between two objects. Asked before all references are attached; pointers are zero but for their relocations. */
  #isBlank({ section, offset, size, bytes }: Atom): boolean {
    const relocations = this.#object.relocations[section.index] ?? [];
    const next = relocations[firstFrom(relocations, offset)];
    return (next === undefined || next.r_offset >= offset + size) && bytes.every(byte => byte === 0);
  }

  /** @returns the string, constant or chunk at a place, made where it is not known yet */
  content(section: Section, kind: Atom['kind'], offset: number, size: number): GrowingAtom {
    if (offset < 0 || offset + size > section.sh_size) {
      throw this.#object.malformed(`a relocation points outside of section '${section.name}'`);
    }
    let known = this.#byContent[section.index];
    if (known === undefined) {
      known = new Map();
      this.#byContent[section.index] = known;
    }
    // A number for both: sections of kernel objects have far less than 2^26 bytes.
    const key = offset * 2 ** 26 + size;
    const same = known.get(key);
    if (same !== undefined) return same;
    const atom = this.#make(section, kind, offset, size);
    known.set(key, atom);
    return atom;
  }

  #cutByExtents(): void {
    const { file, relocations } = this.#object;
    const symbolsOf = symbolsBySection(file);
    const padding = patchablePadding(file, relocations);
    for (const section of file.sections) {
      if (!isCutByExtents(this.#object.treatment(section.index))) continue;
      const symbols = symbolsOf[section.index] ?? [];
      const starts = padding.get(section.index) ?? new Set();
      const sized = symbols.filter(symbol => {
        if (isEmptyObject(symbol)) return false;
        if (!namesPadding(symbol, symbols)) return true;
        starts.add(Number(symbol.st_value));
        return false;
      });
      this.#cutSection(section, sized, starts);
      for (const symbol of symbols) {
        if (!isEmptyObject(symbol)) continue;
        const atom = this.#make(section, 'object', Number(symbol.st_value), 0, 0, symbol);
        this.#bySymbol[symbol.index] = atom;
        if (section.sh_size === 0) this.#bySection[section.index] = [atom];
      }
    }
  }

  /** One section of functions or objects, cut at its symbols; what lies between them becomes anonymous objects. */
  #cutSection(section: Section, symbols: readonly ElfSymbol[], padding: ReadonlySet<number>): void {
    const executable = hasFlag(section.sh_flags, SHF.EXECINSTR);
    const ordered = inOrderOfPlace(symbols);
    const cut: GrowingAtom[] = [];
    let end = 0;
    const anonymous = (from: number, to: number): void => {
      if (to <= from) return;
      if (executable) this.gaps.add(section, from, to);
      else cut.push(this.#make(section, 'object', from, to - from));
    };
    for (let i = 0; i < ordered.length; ) {
      const first = ordered[i] as ElfSymbol;
      const value = Number(first.st_value);
      const same: ElfSymbol[] = [];
      while (i < ordered.length && ordered[i]?.st_value === first.st_value)
        same.push(ordered[i++] as ElfSymbol);
      if (value < end) {
        // A label within the function before it: no atom of its own.
        const around = cut.at(-1);
        if (around !== undefined) for (const symbol of same) this.#bySymbol[symbol.index] = around;
        continue;
      }
      const next = ordered[i];
      const limit = next === undefined ? section.sh_size : Number(next.st_value);
      const size = first.st_size > 0n ? Number(first.st_size) : limit - value;
      if (size < 0 || value + size > section.sh_size) {
        throw this.#object.malformed(`symbol '${first.name}' ends behind section '${section.name}'`);
      }
      const start = padding.size === 0 ? value : paddingStart(padding, end, value);
      anonymous(end, start);
      const atom = this.#make(
        section,
        executable ? 'function' : 'object',
        start,
        value + size - start,
        value - start,
        first,
        same.slice(1).map(symbol => symbol.name),
      );
      for (const symbol of same) this.#bySymbol[symbol.index] = atom;
      if (same.some(({ bind }) => bind === STB.LOCAL)) this.#local.add(atom);
      cut.push(atom);
      end = value + size;
    }
    anonymous(end, section.sh_size);
    this.#bySection[section.index] = cut;
  }

  #make(
    section: Section,
    kind: Atom['kind'],
    offset: number,
    size: number,
    entry = 0,
    symbol?: ElfSymbol,
    aliases: readonly string[] = [],
  ): GrowingAtom {
    const treatment = this.#object.treatment(section.index);
    const atom: GrowingAtom = {
      id: this.atoms.length,
      kind,
      name: symbol?.name ?? '',
      aliases,
      symbol,
      section,
      offset,
      size,
      entry,
      file: symbol && this.#files[symbol.index],
      bytes: size === section.bytes.length ? section.bytes : section.bytes.subarray(offset, offset + size),
      references: [],
      entries: [],
      init: treatment.kind === 'init',
      kept: keptAs(treatment),
    };
    this.atoms.push(atom);
    return atom;
  }
}

function keptAs(treatment: SectionTreatment): KeptTable | undefined {
  if (treatment.kind === 'kept') return treatment;
  return treatment.kind === 'unknown'
    ? { what: 'something that there is no rule for', harmless: false }
    : undefined;
}
