import type { Architecture } from '@kstitch/arch/architecture';
import type { Instructions } from '@kstitch/arch/instructions';
import {
  altInstruction,
  type EntrySizes,
  type SectionTreatment,
  treatmentOf,
} from '@kstitch/arch/special-sections';
import { hasFlag, SHF, SHN, SHT, STB, STT } from '@kstitch/elf/constants';
import type { ElfFile, ElfSymbol, Relocation, Section } from '@kstitch/elf/model';
import { readRelocations } from '@kstitch/elf/relocations';
import { KstitchError } from '@kstitch/report/error';
import type { Atom, Entry, Reference, Target, Unit } from './atom.ts';

/** An atom while its references and entries are still being gathered. */
interface GrowingAtom extends Atom {
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
 * @param file - a relocatable object as the compiler wrote it; objtool's sections are passed over
 * @param name - path of the unit's source, for messages
 * @throws KstitchError - `unit-malformed`, where tables and relocations do not fit together
 */
export function readUnit(file: ElfFile, name: string, arch: Architecture, sizes: EntrySizes): Unit {
  return new UnitReader(file, name, arch, sizes).read();
}

class UnitReader {
  readonly #file: ElfFile;
  readonly #name: string;
  readonly #arch: Architecture;
  readonly #sizes: EntrySizes;
  readonly #atoms: GrowingAtom[] = [];
  readonly #treatments: readonly SectionTreatment[];
  readonly #relocations: readonly (readonly Relocation[])[];
  /** Atoms by section index, ascending by offset. */
  readonly #bySection = new Map<number, GrowingAtom[]>();
  readonly #bySymbol = new Map<number, GrowingAtom>();
  /** Strings, constants and chunks by `section:offset:size`. */
  readonly #byContent = new Map<string, GrowingAtom>();
  readonly #instructions = new Map<GrowingAtom, Instructions>();
  /** Offsets at which `.altinstr_aux` begins a new piece, by section index. */
  readonly #cuts = new Map<number, number[]>();

  constructor(file: ElfFile, name: string, arch: Architecture, sizes: EntrySizes) {
    this.#file = file;
    this.#name = name;
    this.#arch = arch;
    this.#sizes = sizes;
    this.#treatments = file.sections.map(section => treatmentOf(traitsOf(section), sizes));
    this.#relocations = gatherRelocations(file);
  }

  read(): Unit {
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

    // Every entry goes to the function that it is keyed to.
    for (const section of this.#file.sections) {
      const treatment = this.#treatment(section.index);
      if (treatment.kind === 'entries') this.#attachEntries(section, treatment);
    }
    return { name: this.#name, atoms: this.#atoms, namedByUnknown: this.#namedByUnknown() };
  }

  #treatment(section: number): SectionTreatment {
    return this.#treatments[section] ?? { kind: 'unknown' };
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

  #cutByExtents(): void {
    const symbolsOf = new Map<number, ElfSymbol[]>();
    for (const symbol of this.#file.symbols) {
      if (symbol.section === undefined || !namesAnAtom(symbol)) continue;
      const list = symbolsOf.get(symbol.section.index);
      if (list === undefined) symbolsOf.set(symbol.section.index, [symbol]);
      else list.push(symbol);
    }
    const padding = this.#patchablePadding();
    for (const section of this.#file.sections) {
      const treatment = this.#treatment(section.index);
      if (!cutByExtents.has(treatment.kind)) continue;
      const symbols = symbolsOf.get(section.index) ?? [];
      const sized = symbols.filter(symbol => !isEmptyObject(symbol));
      this.#cutSection(section, treatment, sized, padding.get(section.index));
      for (const symbol of symbols) {
        if (!isEmptyObject(symbol)) continue;
        const atom = this.#atom(section, 'object', Number(symbol.st_value), 0, 0, symbol, [], treatment);
        this.#bySymbol.set(symbol.index, atom);
        if (section.sh_size === 0) this.#bySection.set(section.index, [atom]);
      }
    }
  }

  /** One section of functions or objects, cut at its symbols; what lies between them becomes anonymous objects. */
  #cutSection(
    section: Section,
    treatment: SectionTreatment,
    symbols: readonly ElfSymbol[],
    padding: ReadonlySet<number> | undefined,
  ): void {
    const executable = hasFlag(section.sh_flags, SHF.EXECINSTR);
    const ordered = symbols.toSorted(
      (a, b) => compareBig(a.st_value, b.st_value) || compareBig(b.st_size, a.st_size) || rank(a) - rank(b),
    );
    const cut: GrowingAtom[] = [];
    let end = 0;
    const anonymous = (from: number, to: number): void => {
      if (!executable && to > from)
        cut.push(this.#atom(section, 'object', from, to - from, 0, undefined, [], treatment));
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
        if (around !== undefined) for (const symbol of same) this.#bySymbol.set(symbol.index, around);
        continue;
      }
      const next = ordered[i];
      const limit = next === undefined ? section.sh_size : Number(next.st_value);
      const size = first.st_size > 0n ? Number(first.st_size) : limit - value;
      if (value + size > section.sh_size) {
        throw this.#malformed(`symbol '${first.name}' ends behind section '${section.name}'`);
      }
      const start = padding === undefined ? value : paddingStart(padding, end, value);
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
      for (const symbol of same) this.#bySymbol.set(symbol.index, atom);
      cut.push(atom);
      end = value + size;
    }
    anonymous(end, section.sh_size);
    this.#bySection.set(section.index, cut);
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
      bytes: section.bytes.subarray(offset, offset + size),
      references: [],
      entries: [],
      init: treatment.kind === 'init',
      kept: keptAs(treatment),
    };
    this.#atoms.push(atom);
    return atom;
  }

  /** Starts of the NOPs before functions (-fpatchable-function-entry=N,N), by section index. */
  #patchablePadding(): Map<number, Set<number>> {
    const starts = new Map<number, Set<number>>();
    for (const section of this.#file.sections) {
      if (section.name !== '__patchable_function_entries') continue;
      for (const relocation of this.#relocations[section.index] ?? []) {
        const symbol = this.#file.symbols[relocation.r_sym];
        if (symbol?.section === undefined) continue;
        const at = Number(symbol.st_value + relocation.r_addend);
        const set = starts.get(symbol.section.index) ?? new Set();
        starts.set(symbol.section.index, set.add(at));
      }
    }
    return starts;
  }

  /** Where relocations point into `.altinstr_aux`: each place begins a piece that ends at the next. */
  #findCuts(): void {
    for (const section of this.#file.sections) {
      const kind = this.#treatment(section.index).kind;
      if (kind !== 'code' && kind !== 'init') continue;
      for (const relocation of this.#relocations[section.index] ?? []) {
        const symbol = this.#file.symbols[relocation.r_sym];
        if (symbol?.section === undefined || this.#treatment(symbol.section.index).kind !== 'chunks')
          continue;
        const from = this.#atomAround(section, relocation.r_offset);
        const bias =
          from === undefined ? 0 : this.#bias(from, relocation.r_type, relocation.r_offset - from.offset);
        const cuts = this.#cuts.get(symbol.section.index) ?? [];
        cuts.push(Number(symbol.st_value + relocation.r_addend) + bias);
        this.#cuts.set(symbol.section.index, cuts);
      }
    }
    for (const [section, cuts] of this.#cuts)
      this.#cuts.set(
        section,
        [...new Set(cuts)].sort((a, b) => a - b),
      );
  }

  #attachReferences(section: Section): void {
    const relocations = this.#relocations[section.index] ?? [];
    for (const relocation of relocations) {
      const atom = this.#atomAround(section, relocation.r_offset);
      if (atom === undefined) {
        throw this.#malformed(
          `no symbol covers the relocation at ${section.name}+0x${relocation.r_offset.toString(16)}`,
        );
      }
      const offset = relocation.r_offset - atom.offset;
      atom.references.push(this.#reference(relocation, offset, this.#bias(atom, relocation.r_type, offset)));
    }
  }

  #attachEntries(section: Section, treatment: Extract<SectionTreatment, { kind: 'entries' }>): void {
    const relocations = this.#relocations[section.index] ?? [];
    if (section.sh_size === 0) return;
    const size =
      treatment.entrySize === 'one-relocation' ? section.sh_size / relocations.length : treatment.entrySize;
    if (!Number.isInteger(size) || size === 0 || section.sh_size % size !== 0) {
      throw this.#malformed(
        `section '${section.name}' of ${section.sh_size} bytes is not a whole number of entries of ${size} bytes`,
      );
    }
    let next = 0;
    for (let offset = 0; offset < section.sh_size; offset += size) {
      const own: Relocation[] = [];
      while ((relocations[next]?.r_offset ?? Number.POSITIVE_INFINITY) < offset + size) {
        own.push(relocations[next++] as Relocation);
      }
      const bytes = section.bytes.subarray(offset, offset + size);
      const references = own.map(relocation =>
        section.name === '.altinstructions' && relocation.r_offset - offset === altInstruction.replacement
          ? this.#replacementReference(relocation, offset, bytes)
          : this.#reference(relocation, relocation.r_offset - offset, 0),
      );
      const key = references.find(reference => reference.offset === treatment.key);
      if (key === undefined || key.target.kind !== 'atom') {
        throw this.#malformed(`entry at ${section.name}+0x${offset.toString(16)} belongs to no function`);
      }
      const owner = this.#atoms[key.target.atom.id] as GrowingAtom;
      owner.entries.push({ section, offset, bytes, ownerOffset: key.target.offset, references });
    }
  }

  /** The replacement of an alternative: its place is in the relocation, its length in the entry. */
  #replacementReference(relocation: Relocation, entryOffset: number, entry: Uint8Array): Reference {
    const symbol = this.#symbolOf(relocation);
    if (symbol.section === undefined) throw this.#malformed('an alternative has no replacement in this unit');
    const at = Number(symbol.st_value + relocation.r_addend);
    const size = entry[this.#sizes.altReplacementLength] ?? 0;
    const atom = this.#chunk(symbol.section, at, size);
    return {
      offset: relocation.r_offset - entryOffset,
      type: relocation.r_type,
      bias: 0,
      target: { kind: 'atom', atom, offset: 0 },
    };
  }

  #reference(relocation: Relocation, offset: number, bias: number): Reference {
    return { offset, type: relocation.r_type, bias, target: this.#target(relocation, bias) };
  }

  #target(relocation: Relocation, bias: number): Target {
    const symbol = this.#symbolOf(relocation);
    const addend = Number(relocation.r_addend) + bias;
    if (symbol.section === undefined) {
      if (symbol.st_shndx !== SHN.UNDEF) {
        throw this.#malformed(
          `symbol '${symbol.name}' lies in reserved section 0x${symbol.st_shndx.toString(16)}`,
        );
      }
      return { kind: 'external', name: symbol.name, weak: symbol.bind === STB.WEAK, offset: addend };
    }
    const section = symbol.section;
    const position = Number(symbol.st_value) + addend;
    switch (this.#treatment(section.index).kind) {
      case 'strings':
        return { kind: 'atom', atom: this.#string(section, position), offset: 0 };
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
        const cuts = this.#cuts.get(section.index) ?? [];
        const end = cuts.find(cut => cut > position) ?? section.sh_size;
        return { kind: 'atom', atom: this.#chunk(section, position, end - position), offset: 0 };
      }
      default: {
        const atom = this.#bySymbol.get(symbol.index) ?? this.#atomAround(section, position);
        if (atom === undefined) {
          throw this.#malformed(
            `nothing is at ${section.name}+0x${position.toString(16)}, which a relocation points to`,
          );
        }
        return { kind: 'atom', atom, offset: position - atom.offset };
      }
    }
  }

  #string(section: Section, position: number): GrowingAtom {
    const end = section.bytes.indexOf(0, position);
    if (position < 0 || end < 0) {
      throw this.#malformed(`string at ${section.name}+0x${position.toString(16)} has no end`);
    }
    return this.#content(section, 'string', position, end + 1 - position);
  }

  #content(section: Section, kind: Atom['kind'], offset: number, size: number): GrowingAtom {
    if (offset < 0 || offset + size > section.sh_size) {
      throw this.#malformed(`a relocation points outside of section '${section.name}'`);
    }
    const key = `${section.index}:${offset}:${size}`;
    const known = this.#byContent.get(key);
    if (known !== undefined) return known;
    const atom = this.#atom(section, kind, offset, size, 0, undefined, [], this.#treatment(section.index));
    this.#byContent.set(key, atom);
    return atom;
  }

  /** A chunk is code and refers to things itself. */
  #chunk(section: Section, offset: number, size: number): GrowingAtom {
    const before = this.#atoms.length;
    const atom = this.#content(section, 'chunk', offset, size);
    if (this.#atoms.length > before) {
      for (const relocation of this.#relocations[section.index] ?? []) {
        const at = relocation.r_offset - offset;
        if (at < 0 || at >= size) continue;
        atom.references.push(this.#reference(relocation, at, this.#bias(atom, relocation.r_type, at)));
      }
    }
    return atom;
  }

  #bias(atom: GrowingAtom, type: number, offset: number): number {
    if (atom.kind !== 'function' && atom.kind !== 'chunk') return 0;
    if (this.#arch.relocation(type)?.pcRelative !== true) return 0;
    let instructions = this.#instructions.get(atom);
    if (instructions === undefined) {
      instructions = this.#arch.decode(atom.bytes);
      this.#instructions.set(atom, instructions);
    }
    return this.#arch.pcBias(instructions, offset);
  }

  /** The atom whose extent covers an offset; where a section holds just one, that one whatever the offset. */
  #atomAround(section: Section, offset: number): GrowingAtom | undefined {
    const atoms = this.#bySection.get(section.index);
    if (atoms === undefined || atoms.length === 0) return undefined;
    if (atoms.length === 1) return atoms[0];
    let low = 0;
    let high = atoms.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((atoms[middle] as GrowingAtom).offset <= offset) low = middle;
      else high = middle - 1;
    }
    const atom = atoms[low] as GrowingAtom;
    return offset >= atom.offset && offset <= atom.offset + atom.size ? atom : undefined;
  }

  #symbolOf(relocation: Relocation): ElfSymbol {
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

function keptAs(treatment: SectionTreatment): string | undefined {
  if (treatment.kind === 'kept') return treatment.what;
  return treatment.kind === 'unknown' ? 'something that there is no rule for' : undefined;
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

/** Relocations by the index of the section they apply to, ascending by offset. */
function gatherRelocations(file: ElfFile): (readonly Relocation[])[] {
  const all: (readonly Relocation[])[] = [];
  for (const section of file.sections) {
    if (section.sh_type !== SHT.RELA) continue;
    const relocations = readRelocations(file, section);
    const ascending = relocations.every(
      (r, i) => i === 0 || (relocations[i - 1] as Relocation).r_offset <= r.r_offset,
    );
    all[section.sh_info] = ascending ? relocations : relocations.toSorted((a, b) => a.r_offset - b.r_offset);
  }
  return all;
}

function namesAnAtom(symbol: ElfSymbol): boolean {
  return (
    symbol.type !== STT.SECTION &&
    symbol.type !== STT.FILE &&
    symbol.name !== '' &&
    !symbol.name.startsWith('.L')
  );
}

/** An empty structure: `struct lock_class_key` without lockdep. It shares its place with whatever comes next. */
function isEmptyObject(symbol: ElfSymbol): boolean {
  return symbol.type === STT.OBJECT && symbol.st_size === 0n;
}

/** Of several symbols at one place the most public one names the atom: that is what the kernel's tables call it. */
function rank(symbol: ElfSymbol): number {
  const bind = symbol.bind === STB.GLOBAL ? 0 : symbol.bind === STB.WEAK ? 2 : 1;
  const type = symbol.type === STT.FUNC || symbol.type === STT.OBJECT ? 0 : 3;
  return bind + type;
}

function paddingStart(padding: ReadonlySet<number>, from: number, value: number): number {
  for (let start = Math.max(from, value - maxPatchablePadding); start < value; start += 1) {
    if (padding.has(start)) return start;
  }
  return value;
}

/** Bytes; the kernel uses 16 before and none or few behind the entry (arch/x86/Makefile, CONFIG_FUNCTION_PADDING_BYTES). */
const maxPatchablePadding = 64;

function compareBig(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
