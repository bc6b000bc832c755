import type { Architecture } from '@kstitch/arch/architecture';
import type { Instructions } from '@kstitch/arch/instructions';
import { SHN, STB, STT } from '@kstitch/elf/constants';
import type { ElfSymbol, Section } from '@kstitch/elf/model';
import type { Atom, Reference, Target } from './atom.ts';
import type { AtomMap, GrowingAtom } from './atom-map.ts';
import type { CompiledObject } from './compiled-object.ts';
import { firstFrom, type UnitRelocation } from './gather-relocations.ts';

/**
 * Turns relocations into references. Strings, constants and chunks come into being as they are met; a chunk has references
 * of its own.
 *
 * Relocations against a section symbol are turned into the atom that they point into: on x86-64 that needs the end of the
 * instruction around the field, since `cmpb $1, flag(%rip)` has an addend one byte less than the same access without an
 * immediate.
 */
export class ReferenceReader {
  readonly #object: CompiledObject;
  readonly #map: AtomMap;
  readonly #arch: Architecture;
  readonly #instructions = new Map<GrowingAtom, Instructions>();
  /** Offsets at which code that is reached by offset begins a new piece, by section index. */
  readonly #cuts: (number[] | undefined)[] = [];
  readonly #reached = new Set<Atom>();

  constructor(object: CompiledObject, map: AtomMap, arch: Architecture) {
    this.#object = object;
    this.#map = map;
    this.#arch = arch;
    this.#findCuts();
  }

  /** What has no name and is referred to from elsewhere, as far as references were read. */
  get reached(): ReadonlySet<Atom> {
    return this.#reached;
  }

  /** @param atom - which an entry refers to that belongs to another */
  noteReached(atom: Atom): void {
    this.#reached.add(atom);
  }

  /** Where relocations point into code that is reached by offset: each place begins a piece that ends at the next. */
  #findCuts(): void {
    const isCut = this.#object.file.sections.map(
      ({ index }) => this.#object.treatment(index).kind === 'chunks' || this.#map.gaps.has(index),
    );
    if (!isCut.includes(true)) return;
    // Few symbols lead there, and every relocation is looked at.
    const leads = Uint8Array.from(this.#object.file.symbols, ({ section }) =>
      section !== undefined && isCut[section.index] === true ? 1 : 0,
    );
    for (const section of this.#object.file.sections) {
      const { kind } = this.#object.treatment(section.index);
      // The replacement of an alternative says how long it is.
      const isTable = kind === 'entries' && section.name !== '.altinstructions';
      if (kind !== 'code' && kind !== 'init' && !isTable) continue;
      for (const relocation of this.#object.relocations[section.index] ?? []) {
        if (leads[relocation.r_sym] !== 1) continue;
        const symbol = this.#object.file.symbols[relocation.r_sym];
        if (symbol?.section === undefined) continue;
        const from = isTable ? undefined : this.#map.around(section, relocation.r_offset);
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

  /**
   * @param from - what refers, where that is not an entry of a table
   * @param base - what an entry's distance counts from
   */
  read(
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
    const symbol = this.#object.symbolOf(relocation);
    const addend = relocation.r_addend + bias;
    const { section } = symbol;
    if (section === undefined) {
      const isUndefined = symbol.st_shndx === SHN.UNDEF;
      const name = isUndefined ? symbol.name : reservedName(symbol);
      return { kind: 'external', name, weak: symbol.bind === STB.WEAK, offset: addend };
    }
    const position = Number(symbol.st_value) + addend;
    switch (this.#object.treatment(section.index).kind) {
      case 'strings':
        return this.#string(symbol, section, position, offset, from);
      case 'constants': {
        const size = section.sh_entsize || section.sh_size;
        // With a symbol of its own, `table + 4` may lead in front of the constant or behind it.
        const within = symbol.type === STT.SECTION ? position : Number(symbol.st_value);
        const start = within - (within % size);
        return {
          kind: 'atom',
          atom: this.#map.content(section, 'constant', start, size),
          offset: position - start,
        };
      }
      case 'chunks': {
        return { kind: 'atom', atom: this.piece(section, position, section.sh_size), offset: 0 };
      }
      case 'regenerated':
      case 'ignored':
      case 'entries':
        return { kind: 'external', name: symbol.name || section.name, weak: false, offset: position };
      default: {
        const named = this.#map.ofSymbol(symbol);
        const gapEnd = named === undefined ? this.#map.gaps.endOf(section.index, position) : 0;
        if (gapEnd > 0) return { kind: 'atom', atom: this.piece(section, position, gapEnd), offset: 0 };
        const target: Target | undefined =
          named === undefined
            ? this.#map.local(section, position)
            : { kind: 'atom', atom: named, offset: position - named.offset };
        if (target === undefined) {
          throw this.#object.malformed(
            `nothing is at ${section.name}+0x${position.toString(16)}, which a relocation points to`,
          );
        }
        return target;
      }
    }
  }

  /**
   * A linker that merges texts keeps the one whole that the symbol names, and so do assemblers, which write `.LC1 + 1` for
   * `text[i + 1]` and the section only where the text's own start is meant.
   */
  #string(
    symbol: ElfSymbol,
    section: Section,
    position: number,
    field: number,
    from: GrowingAtom | undefined,
  ): Target {
    const isNamed = symbol.type !== STT.SECTION;
    // `text[i - 1]` becomes an access to the byte before the text: with what stands there it has nothing to do.
    const isIndexed =
      !isNamed &&
      position >= -maxStringBias &&
      (position < 0 || section.bytes[position] === 0) &&
      from?.kind === 'function' &&
      !this.#arch.takesAddress(from.bytes, this.#decode(from), field);
    const start = isNamed ? Number(symbol.st_value) : isIndexed ? Math.max(0, position + 1) : position;
    const end = stringEnd(section, start);
    if (start < 0 || end < 0) {
      throw this.#object.malformed(`string at ${section.name}+0x${position.toString(16)} has no end`);
    }
    return {
      kind: 'atom',
      atom: this.#map.content(section, 'string', start, end - start),
      offset: position - start,
    };
  }

  /** Code from `position` to where something else points to, or to `limit`. */
  piece(section: Section, position: number, limit: number): GrowingAtom {
    const end = this.#cuts[section.index]?.find(cut => cut > position) ?? limit;
    return this.chunk(section, position, Math.min(end, limit) - position);
  }

  /** A chunk is code and refers to things itself. */
  chunk(section: Section, offset: number, size: number): GrowingAtom {
    const before = this.#map.atoms.length;
    const atom = this.#map.content(section, 'chunk', offset, size);
    if (this.#map.atoms.length > before) {
      const relocations = this.#object.relocations[section.index] ?? [];
      for (let i = firstFrom(relocations, offset); i < relocations.length; i += 1) {
        const relocation = relocations[i] as UnitRelocation;
        const at = relocation.r_offset - offset;
        if (at >= size) break;
        atom.references.push(this.read(relocation, at, atom));
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

/** Symbols without a section: an absolute one is its value, a common one its name. */
function reservedName(symbol: ElfSymbol): string {
  return symbol.st_shndx === SHN.ABS ? `${symbol.name}=0x${symbol.st_value.toString(16)}` : symbol.name;
}
