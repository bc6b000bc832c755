import type { Architecture } from '@kstitch/arch/architecture';
import type { Instructions } from '@kstitch/arch/instructions';
import {
  altInstruction,
  type EntrySizes,
  type SectionTreatment,
  treatmentOf,
} from '@kstitch/arch/special-sections';
import { hasFlag, SHF, SHN, SHT, STB } from '@kstitch/elf/constants';
import type { ElfFile, ElfSymbol, Section } from '@kstitch/elf/model';
import { KstitchError } from '@kstitch/report/error';
import type { Atom, Entry, KeptTable, Reference, Target, Unit } from './atom.ts';
import { CodeGaps } from './code-gaps.ts';
import { firstFrom, gatherRelocations, type UnitRelocation } from './gather-relocations.ts';
import { findLocalBranches } from './local-branches.ts';
import { readRequests } from './requests.ts';
import { findSpecialStatics } from './special-statics.ts';
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
interface GrowingAtom extends Atom {
  bytes: Uint8Array;
  readonly references: Reference[];
  readonly entries: Entry[];
}

/**
 * Cuts a compiled unit into atoms.
 *
 * Sections of functions and objects are cut by symbol extents, strings and constants at every place that something
 * refers to, special sections by entry size. Relocations against a section symbol are turned into the atom that they
 * point into: on x86-64 that needs the end of the instruction around the field, since `cmpb $1, flag(%rip)` has an
 * addend one byte less than the same access without an immediate.
 *
 * @param file - a relocatable object as the compiler wrote it, or objtool behind it: its sections are passed over
 * @param name - path of the unit's source, for messages
 * @param options - `movable`: every branch to another function shall be a reference, also where the assembler knew the
 *   distance (`-ffunction-sections` leaves functions of `.sched.text` in one section): such a function can be put elsewhere
 * @throws KstitchError - `unit-malformed`, where tables and relocations do not fit together
 */
export function readUnit(
  file: ElfFile,
  name: string,
  arch: Architecture,
  sizes: EntrySizes,
  options: { readonly movable: boolean } = { movable: false },
): Unit {
  return new UnitReader(file, name, arch, sizes).read(options.movable);
}

class UnitReader {
  readonly #file: ElfFile;
  readonly #name: string;
  readonly #arch: Architecture;
  readonly #sizes: EntrySizes;
  readonly #atoms: GrowingAtom[] = [];
  readonly #treatments: readonly SectionTreatment[];
  readonly #relocations: readonly (readonly UnitRelocation[] | undefined)[];
  /** Empty unless the object was linked from several. */
  readonly #files: readonly (string | undefined)[];
  /** Atoms by section index, ascending by offset. */
  readonly #bySection: (GrowingAtom[] | undefined)[] = [];
  readonly #bySymbol: (GrowingAtom | undefined)[] = [];
  /** Strings, constants and chunks: by section index, then by offset and size. */
  readonly #byContent: (Map<number, GrowingAtom> | undefined)[] = [];
  readonly #instructions = new Map<GrowingAtom, Instructions>();
  /** Code that no symbol covers, such as `.text..refcount`. */
  readonly #gaps = new CodeGaps();
  /** Offsets at which code that is reached by offset begins a new piece, by section index. */
  readonly #cuts: (number[] | undefined)[] = [];
  readonly #shortBranches = new Map<Atom, number>();
  /** What has no name and is referred to from elsewhere. */
  readonly #reached = new Set<Atom>();

  constructor(file: ElfFile, name: string, arch: Architecture, sizes: EntrySizes) {
    this.#file = file;
    this.#name = name;
    this.#arch = arch;
    this.#sizes = sizes;
    this.#treatments = file.sections.map(section => treatmentOf(traitsOf(section), sizes));
    this.#relocations = gatherRelocations(file);
    this.#files = filesOfSymbols(file);
  }

  read(movable: boolean): Unit {
    // Functions and objects have symbols; they come first so that every later reference finds its atom.
    this.#cutByExtents();

    // Code that is reached only by offset is cut where something points to.
    this.#findCuts();

    // References of functions and objects; strings, constants and chunks come into being as they are met. A chunk has
    // references of its own, so the list grows while it is walked.
    for (const section of this.#file.sections) {
      const kind = this.#treatment(section.index).kind;
      if (cutByExtents.has(kind)) this.#attachReferences(section);
    }

    if (movable) for (const section of this.#file.sections) this.#nameBranches(section);

    // Every entry goes to the function that it is keyed to. The assembler writes the tables in the order in which it first
    // met each, which says nothing about the function.
    const tables = this.#file.sections.filter(({ index }) => this.#treatment(index).kind === 'entries');
    for (const section of tables.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))) {
      const treatment = this.#treatment(section.index);
      if (treatment.kind === 'entries') this.#attachEntries(section, treatment);
    }
    const unreached = this.#unreached();
    return {
      name: this.#name,
      atoms: this.#atoms,
      symbolNames: new Set(this.#file.symbols.map(symbol => symbol.name)),
      namedByUnknown: this.#namedByUnknown(),
      requests: readRequests(
        this.#file.sections,
        section => this.#treatment(section.index),
        (section, offset) => this.#pointer(section, offset),
        what => this.#malformed(what),
      ),
      specialStatics: findSpecialStatics(this.#atoms, this.#arch),
      unreached,
      placeless: placelessSymbols(this.#file),
      shortBranches: this.#shortBranches,
    };
  }

  #treatment(section: number): SectionTreatment {
    return this.#treatments[section] ?? { kind: 'unknown' };
  }

  /** What a pointer in data that is no atom points to; few are asked for. */
  #pointer(section: Section, offset: number): Target | undefined {
    const relocation = this.#relocations[section.index]?.find(({ r_offset }) => r_offset === offset);
    return relocation === undefined ? undefined : this.#reference(relocation, 0, undefined).target;
  }

  /** What sections without a rule refer to: a table of a new kernel may well be one that must be carried. */
  #namedByUnknown(): Map<Atom, string> {
    const named = new Map<Atom, string>();
    for (const atom of this.#atoms) {
      if (this.#treatment(atom.section.index).kind !== 'unknown') continue;
      for (const { target } of atom.references) {
        if (target.kind === 'atom') named.set(target.atom, atom.section.name);
      }
    }
    return named;
  }

  /** Nothing leads to it here, so that no comparison of what has a name would come upon it. */
  #unreached(): Atom[] {
    // The rest of the code that no symbol covers becomes atoms.
    for (const [index, gaps] of this.#gaps.entries()) {
      const section = this.#file.sections[index] as Section;
      for (const { from, to } of gaps) for (let at = from; at < to; at += this.#piece(section, at, to).size);
    }
    return this.#atoms.filter(
      atom =>
        atom.name === '' &&
        (atom.kind === 'object' || this.#gaps.has(atom.section.index)) &&
        atom.kept === undefined &&
        !this.#reached.has(atom) &&
        // The space between two objects is nothing.
        (atom.references.length > 0 || atom.bytes.some(byte => byte !== 0)),
    );
  }

  #cutByExtents(): void {
    const symbolsOf = symbolsBySection(this.#file);
    const padding = patchablePadding(this.#file, this.#relocations);
    for (const section of this.#file.sections) {
      const treatment = this.#treatment(section.index);
      if (!cutByExtents.has(treatment.kind)) continue;
      const symbols = symbolsOf[section.index] ?? [];
      const starts = padding.get(section.index) ?? new Set();
      const sized = symbols.filter(symbol => {
        if (isEmptyObject(symbol)) return false;
        if (!namesPadding(symbol, symbols)) return true;
        starts.add(Number(symbol.st_value));
        return false;
      });
      this.#cutSection(section, treatment, sized, starts);
      for (const symbol of symbols) {
        if (!isEmptyObject(symbol)) continue;
        const atom = this.#atom(section, 'object', Number(symbol.st_value), 0, 0, symbol, [], treatment);
        this.#bySymbol[symbol.index] = atom;
        if (section.sh_size === 0) this.#bySection[section.index] = [atom];
      }
    }
  }

  /** One section of functions or objects, cut at its symbols; what lies between them becomes anonymous objects. */
  #cutSection(
    section: Section,
    treatment: SectionTreatment,
    symbols: readonly ElfSymbol[],
    padding: ReadonlySet<number>,
  ): void {
    const executable = hasFlag(section.sh_flags, SHF.EXECINSTR);
    const ordered = inOrderOfPlace(symbols);
    const cut: GrowingAtom[] = [];
    let end = 0;
    const anonymous = (from: number, to: number): void => {
      if (to <= from) return;
      if (executable) this.#gaps.add(section, from, to);
      else cut.push(this.#atom(section, 'object', from, to - from, 0, undefined, [], treatment));
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
        throw this.#malformed(`symbol '${first.name}' ends behind section '${section.name}'`);
      }
      const start = padding.size === 0 ? value : paddingStart(padding, end, value);
      anonymous(end, start);
      const atom = this.#atom(
        section,
        executable ? 'function' : 'object',
        start,
        value + size - start,
        value - start,
        first,
        same.slice(1).map(symbol => symbol.name),
        treatment,
      );
      for (const symbol of same) this.#bySymbol[symbol.index] = atom;
      cut.push(atom);
      end = value + size;
    }
    anonymous(end, section.sh_size);
    this.#bySection[section.index] = cut;
  }

  #atom(
    section: Section,
    kind: Atom['kind'],
    offset: number,
    size: number,
    entry: number,
    symbol: ElfSymbol | undefined,
    aliases: readonly string[],
    treatment: SectionTreatment,
  ): GrowingAtom {
    const atom: GrowingAtom = {
      id: this.#atoms.length,
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
    this.#atoms.push(atom);
    return atom;
  }

  /** Where relocations point into code that is reached by offset: each place begins a piece that ends at the next. */
  #findCuts(): void {
    const isCut = this.#file.sections.map(
      ({ index }) => this.#treatment(index).kind === 'chunks' || this.#gaps.has(index),
    );
    if (!isCut.includes(true)) return;
    // Few symbols lead there, and every relocation is looked at.
    const leads = Uint8Array.from(this.#file.symbols, ({ section }) =>
      section !== undefined && isCut[section.index] === true ? 1 : 0,
    );
    for (const section of this.#file.sections) {
      const { kind } = this.#treatment(section.index);
      // The replacement of an alternative says how long it is.
      const isTable = kind === 'entries' && section.name !== '.altinstructions';
      if (kind !== 'code' && kind !== 'init' && !isTable) continue;
      for (const relocation of this.#relocations[section.index] ?? []) {
        if (leads[relocation.r_sym] !== 1) continue;
        const symbol = this.#file.symbols[relocation.r_sym];
        if (symbol?.section === undefined) continue;
        const from = isTable ? undefined : this.#atomAround(section, relocation.r_offset);
        const bias =
          from === undefined ? 0 : this.#bias(from, relocation.r_type, relocation.r_offset - from.offset);
        const cut = Number(symbol.st_value) + relocation.r_addend + bias;
        const cuts = this.#cuts[symbol.section.index];
        if (cuts === undefined) this.#cuts[symbol.section.index] = [cut];
        else cuts.push(cut);
      }
    }
    for (const [section, cuts] of this.#cuts.entries())
      if (cuts !== undefined) this.#cuts[section] = [...new Set(cuts)].sort((a, b) => a - b);
  }

  #attachReferences(section: Section): void {
    for (const relocation of this.#relocations[section.index] ?? []) {
      // Code without a symbol gets its references when something is found that reaches it.
      if (this.#gaps.has(section.index) && this.#gaps.endOf(section.index, relocation.r_offset) > 0) continue;
      const atom = this.#atomAround(section, relocation.r_offset);
      if (atom === undefined) {
        throw this.#malformed(
          `no symbol covers the relocation at ${section.name}+0x${relocation.r_offset.toString(16)}`,
        );
      }
      const offset = relocation.r_offset - atom.offset;
      atom.references.push(this.#reference(relocation, offset, atom));
    }
  }

  /** Distances that the assembler wrote down become references, as if it had left them to the linker. */
  #nameBranches(section: Section): void {
    const { kind } = this.#treatment(section.index);
    if (kind !== 'code' && kind !== 'init') return;
    const neighbours = this.#bySection[section.index] ?? [];
    for (const atom of neighbours) {
      const relocated = new Set(atom.references.map(({ offset }) => offset));
      const branches = [...findLocalBranches(atom, neighbours, this.#arch, field => relocated.has(field))];
      if (branches.length === 0) continue;
      const bytes = new Uint8Array(atom.bytes);
      for (const { field, width, to, offset } of branches) {
        if (width === 1) {
          this.#shortBranches.set(atom, field - 1);
          continue;
        }
        bytes.fill(0, field, field + width);
        atom.references.push({
          offset: field,
          type: this.#arch.branchType,
          bias: width,
          target: { kind: 'atom', atom: to, offset },
        });
      }
      atom.bytes = bytes;
      atom.references.sort((a, b) => a.offset - b.offset);
    }
  }

  #attachEntries(section: Section, treatment: Extract<SectionTreatment, { kind: 'entries' }>): void {
    const relocations = this.#relocations[section.index] ?? [];
    if (section.sh_size === 0) return;
    const size =
      treatment.entrySize === 'one-relocation' ? section.sh_size / relocations.length : treatment.entrySize;
    // The last .parainstructions entry of older kernels lacks the padding that aligns the next.
    const short = section.name === '.parainstructions' ? section.sh_size % size : 0;
    if (!Number.isInteger(size) || size === 0 || (section.sh_size - short) % size !== 0) {
      throw this.#malformed(
        `section '${section.name}' of ${section.sh_size} bytes is not a whole number of entries of ${size} bytes`,
      );
    }
    const base = section.name === '__bug_table' ? this.#bugTableBase(relocations, size) : 'field';
    let next = 0;
    for (let offset = 0; offset < section.sh_size; offset += size) {
      const own: UnitRelocation[] = [];
      while ((relocations[next]?.r_offset ?? Number.POSITIVE_INFINITY) < offset + size) {
        own.push(relocations[next++] as UnitRelocation);
      }
      const bytes = section.bytes.subarray(offset, offset + size);
      const references = own.map(relocation =>
        section.name === '.altinstructions' && relocation.r_offset - offset === altInstruction.replacement
          ? this.#replacementReference(relocation, offset, bytes)
          : this.#reference(relocation, relocation.r_offset - offset, undefined, base),
      );
      const key = references.find(reference => reference.offset === treatment.key);
      if (key === undefined || key.target.kind !== 'atom') {
        throw this.#malformed(`entry at ${section.name}+0x${offset.toString(16)} belongs to no function`);
      }
      const owner = this.#atoms[key.target.atom.id] as GrowingAtom;
      for (const { target } of references) {
        if (target.kind === 'atom' && target.atom !== owner) this.#reached.add(target.atom);
      }
      owner.entries.push({ section, offset, bytes, ownerOffset: key.target.offset, references });
    }
  }

  /**
   * What the file of a bug entry counts from: its field since 5.15, the start of the entry before
   * (arch/x86/include/asm/bug.h: __BUG_REL()). One of the two makes every file the start of a string.
   */
  #bugTableBase(relocations: readonly UnitRelocation[], size: number): 'field' | 'entry' {
    const begin = (bias: number) =>
      relocations.every(relocation => {
        const symbol = this.#symbolOf(relocation);
        const at = relocation.r_offset % size;
        if (at === 0 || symbol.section === undefined) return true;
        if (this.#treatment(symbol.section.index).kind !== 'strings') return true;
        const position = Number(symbol.st_value) + relocation.r_addend - bias * at;
        const { bytes } = symbol.section;
        return position === 0 || (position < bytes.length && bytes[position - 1] === 0);
      });
    return !begin(0) && begin(1) ? 'entry' : 'field';
  }

  /** The replacement of an alternative: its place is in the relocation, its length in the entry. */
  #replacementReference(relocation: UnitRelocation, entryOffset: number, entry: Uint8Array): Reference {
    const symbol = this.#symbolOf(relocation);
    if (symbol.section === undefined) throw this.#malformed('an alternative has no replacement in this unit');
    const at = Number(symbol.st_value) + relocation.r_addend;
    const size = entry[this.#sizes.altReplacementLength] ?? 0;
    const atom = this.#chunk(symbol.section, at, size);
    return {
      offset: relocation.r_offset - entryOffset,
      type: relocation.r_type,
      bias: 0,
      target: { kind: 'atom', atom, offset: 0 },
    };
  }

  /**
   * @param from - what refers, where that is not an entry of a table
   * @param base - what an entry's distance counts from
   */
  #reference(
    relocation: UnitRelocation,
    offset: number,
    from: GrowingAtom | undefined,
    base: 'field' | 'entry' = 'field',
  ): Reference {
    const distance = base === 'entry' ? -offset : 0;
    const bias = from === undefined ? distance : this.#bias(from, relocation.r_type, offset);
    const target = this.#target(relocation, bias, offset, from);
    if (from !== undefined && target.kind === 'atom' && target.atom.name === '' && target.atom !== from)
      this.#reached.add(target.atom);
    return { offset, type: relocation.r_type, bias, target };
  }

  #target(relocation: UnitRelocation, bias: number, offset: number, from: GrowingAtom | undefined): Target {
    const symbol = this.#symbolOf(relocation);
    const addend = relocation.r_addend + bias;
    const { section } = symbol;
    if (section === undefined) {
      const isUndefined = symbol.st_shndx === SHN.UNDEF;
      const name = isUndefined ? symbol.name : reservedName(symbol);
      return { kind: 'external', name, weak: symbol.bind === STB.WEAK, offset: addend };
    }
    const position = Number(symbol.st_value) + addend;
    switch (this.#treatment(section.index).kind) {
      case 'strings':
        return this.#string(section, position, offset, from);
      case 'constants': {
        const size = section.sh_entsize || section.sh_size;
        const start = position - (position % size);
        return {
          kind: 'atom',
          atom: this.#content(section, 'constant', start, size),
          offset: position - start,
        };
      }
      case 'chunks': {
        return { kind: 'atom', atom: this.#piece(section, position, section.sh_size), offset: 0 };
      }
      case 'regenerated':
      case 'ignored':
      case 'entries':
        return { kind: 'external', name: symbol.name || section.name, weak: false, offset: position };
      default: {
        const named = this.#bySymbol[symbol.index];
        const gapEnd = named === undefined ? this.#gaps.endOf(section.index, position) : 0;
        if (gapEnd > 0) return { kind: 'atom', atom: this.#piece(section, position, gapEnd), offset: 0 };
        const atom = named ?? this.#atomAround(section, position);
        if (atom === undefined) {
          throw this.#malformed(
            `nothing is at ${section.name}+0x${position.toString(16)}, which a relocation points to`,
          );
        }
        return { kind: 'atom', atom, offset: position - atom.offset };
      }
    }
  }

  #string(section: Section, position: number, field: number, from: GrowingAtom | undefined): Target {
    // `text[i - 1]` becomes an access to the byte before the text: with what stands there it has nothing to do.
    const isIndexed =
      position >= -maxStringBias &&
      (position < 0 || section.bytes[position] === 0) &&
      from?.kind === 'function' &&
      !this.#arch.takesAddress(from.bytes, this.#decode(from), field);
    const start = isIndexed ? Math.max(0, position + 1) : position;
    const end = stringEnd(section, start);
    if (start < 0 || end < 0) {
      throw this.#malformed(`string at ${section.name}+0x${position.toString(16)} has no end`);
    }
    return {
      kind: 'atom',
      atom: this.#content(section, 'string', start, end - start),
      offset: position - start,
    };
  }

  #content(section: Section, kind: Atom['kind'], offset: number, size: number): GrowingAtom {
    if (offset < 0 || offset + size > section.sh_size) {
      throw this.#malformed(`a relocation points outside of section '${section.name}'`);
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
    const atom = this.#atom(section, kind, offset, size, 0, undefined, [], this.#treatment(section.index));
    known.set(key, atom);
    return atom;
  }

  /** Code from `position` to where something else points to, or to `limit`. */
  #piece(section: Section, position: number, limit: number): GrowingAtom {
    const end = this.#cuts[section.index]?.find(cut => cut > position) ?? limit;
    return this.#chunk(section, position, Math.min(end, limit) - position);
  }

  /** A chunk is code and refers to things itself. */
  #chunk(section: Section, offset: number, size: number): GrowingAtom {
    const before = this.#atoms.length;
    const atom = this.#content(section, 'chunk', offset, size);
    if (this.#atoms.length > before) {
      const relocations = this.#relocations[section.index] ?? [];
      for (let i = firstFrom(relocations, offset); i < relocations.length; i += 1) {
        const relocation = relocations[i] as UnitRelocation;
        const at = relocation.r_offset - offset;
        if (at >= size) break;
        atom.references.push(this.#reference(relocation, at, atom));
      }
    }
    return atom;
  }

  #bias(atom: GrowingAtom, type: number, offset: number): number {
    if (atom.kind !== 'function' && atom.kind !== 'chunk') return 0;
    const kind = this.#arch.relocation(type);
    if (kind?.pcRelative !== true) return 0;
    const quick = kind.size === 4 ? this.#arch.quickPcBias(atom.bytes, offset) : 0;
    return quick > 0 ? quick : this.#arch.pcBias(this.#decode(atom), offset);
  }

  #decode(atom: GrowingAtom): Instructions {
    let instructions = this.#instructions.get(atom);
    if (instructions === undefined) {
      instructions = this.#arch.decode(atom.bytes);
      this.#instructions.set(atom, instructions);
    }
    return instructions;
  }

  /**
   * The atom whose extent covers an offset; where a section holds just one, that one whatever the offset. Before the first
   * and behind the last it is that: `table - 8` is what a compiler makes of `table[i - 1]`.
   */
  #atomAround(section: Section, offset: number): GrowingAtom | undefined {
    const atoms = this.#bySection[section.index];
    if (atoms === undefined || atoms.length === 0) return undefined;
    if (atoms.length === 1) return atoms[0];
    let low = 0;
    let high = atoms.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((atoms[middle] as GrowingAtom).offset <= offset) low = middle;
      else high = middle - 1;
    }
    return atoms[low];
  }

  #symbolOf(relocation: UnitRelocation): ElfSymbol {
    const symbol = this.#file.symbols[relocation.r_sym];
    if (symbol === undefined)
      throw this.#malformed(`relocation names symbol ${relocation.r_sym}, which is not there`);
    return symbol;
  }

  #malformed(what: string): KstitchError {
    return new KstitchError('unit-malformed', `Cannot read the compiled ${this.#name}: ${what}`);
  }
}

/** Sections whose atoms are what their symbols name. */
const cutByExtents: ReadonlySet<SectionTreatment['kind']> = new Set([
  'code',
  'data',
  'init',
  'kept',
  'unknown',
]);

function keptAs(treatment: SectionTreatment): KeptTable | undefined {
  if (treatment.kind === 'kept') return treatment;
  return treatment.kind === 'unknown'
    ? { what: 'something that there is no rule for', harmless: false }
    : undefined;
}

function traitsOf(section: Section) {
  return {
    name: section.name,
    allocated: hasFlag(section.sh_flags, SHF.ALLOC),
    executable: hasFlag(section.sh_flags, SHF.EXECINSTR),
    mergeable: hasFlag(section.sh_flags, SHF.MERGE),
    strings: hasFlag(section.sh_flags, SHF.STRINGS),
    note: section.sh_type === SHT.NOTE,
  };
}

/** Two strings of different width in one section; nothing in the kernel indexes further. */
const maxStringBias = 64;

/** @returns where the string that begins at `start` ends with its terminator; -1 where it has none */
function stringEnd(section: Section, start: number): number {
  const { bytes } = section;
  const width = section.sh_entsize === 2 || section.sh_entsize === 4 ? section.sh_entsize : 1;
  for (
    let at = bytes.indexOf(0, start);
    at >= 0 && at + width <= bytes.length;
    at = bytes.indexOf(0, at + 1)
  ) {
    if ((at - start) % width === 0 && bytes.subarray(at, at + width).every(byte => byte === 0))
      return at + width;
  }
  return -1;
}

/** `foo = 5` of an assembler, and `int foo;` with -fcommon; the CRCs of exports are of no matter to what runs. */
function placelessSymbols(file: ElfFile): Map<string, string> {
  const symbols = new Map<string, string>();
  for (const symbol of file.symbols) {
    const { st_shndx } = symbol;
    if (symbol.section !== undefined || st_shndx === SHN.UNDEF) continue;
    const { name, bind, st_value, st_size } = symbol;
    if (bind === STB.LOCAL || name === '' || name.startsWith('__crc_')) continue;
    if (st_shndx === SHN.ABS) symbols.set(name, `the value 0x${st_value.toString(16)}`);
    if (st_shndx === SHN.COMMON) symbols.set(name, `${st_size} bytes`);
  }
  return symbols;
}

/** Symbols without a section: an absolute one is its value, a common one its name. */
function reservedName(symbol: ElfSymbol): string {
  return symbol.st_shndx === SHN.ABS ? `${symbol.name}=0x${symbol.st_value.toString(16)}` : symbol.name;
}
