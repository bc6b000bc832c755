import type { Architecture } from '@kstitch/arch/architecture';
import type { EntrySizes } from '@kstitch/arch/special-sections';
import { SHN, STB } from '@kstitch/elf/constants';
import type { ElfFile, Section } from '@kstitch/elf/model';
import type { Atom, Target, Unit } from './atom.ts';
import { AtomMap, isCutByExtents } from './atom-map.ts';
import { CompiledObject } from './compiled-object.ts';
import { findLocalBranches } from './local-branches.ts';
import { ReferenceReader } from './reference-reader.ts';
import { readRequests } from './requests.ts';
import { findSpecialStatics } from './special-statics.ts';
import { TableEntries } from './table-entries.ts';

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
  return new UnitReader(new CompiledObject(file, name, sizes), arch, sizes).read(name, options.movable);
}

class UnitReader {
  readonly #object: CompiledObject;
  readonly #arch: Architecture;
  readonly #sizes: EntrySizes;
  readonly #map: AtomMap;
  readonly #references: ReferenceReader;
  readonly #shortBranches = new Map<Atom, number>();

  constructor(object: CompiledObject, arch: Architecture, sizes: EntrySizes) {
    this.#object = object;
    this.#arch = arch;
    this.#sizes = sizes;
    // Functions and objects have symbols; they come first so that every later reference finds its atom.
    this.#map = new AtomMap(object);
    this.#references = new ReferenceReader(object, this.#map, arch);
  }

  read(name: string, movable: boolean): Unit {
    const { file } = this.#object;
    for (const section of file.sections)
      if (isCutByExtents(this.#object.treatment(section.index))) this.#attachReferences(section);

    if (movable) for (const section of file.sections) this.#nameBranches(section);

    new TableEntries(this.#object, this.#map, this.#references, this.#sizes).attachAll();
    const unreached = this.#unreached();
    const { atoms } = this.#map;
    return {
      name,
      atoms,
      symbolNames: new Set(file.symbols.map(symbol => symbol.name)),
      namedByUnknown: this.#namedByUnknown(),
      requests: readRequests(
        file.sections,
        section => this.#object.treatment(section.index),
        (section, offset) => this.#pointer(section, offset),
        what => this.#object.malformed(what),
      ),
      specialStatics: findSpecialStatics(atoms, this.#arch),
      unreached,
      placeless: placelessSymbols(file),
      shortBranches: this.#shortBranches,
    };
  }

  #attachReferences(section: Section): void {
    for (const relocation of this.#object.relocations[section.index] ?? []) {
      // Code without a symbol gets its references when something is found that reaches it.
      if (this.#map.gaps.has(section.index) && this.#map.gaps.endOf(section.index, relocation.r_offset) > 0)
        continue;
      const atom = this.#map.around(section, relocation.r_offset);
      if (atom === undefined) {
        throw this.#object.malformed(
          `no symbol covers the relocation at ${section.name}+0x${relocation.r_offset.toString(16)}`,
        );
      }
      const offset = relocation.r_offset - atom.offset;
      atom.references.push(this.#references.read(relocation, offset, atom));
    }
  }

  /** Distances that the assembler wrote down become references, as if it had left them to the linker. */
  #nameBranches(section: Section): void {
    const { kind } = this.#object.treatment(section.index);
    if (kind !== 'code' && kind !== 'init') return;
    const neighbours = this.#map.inSection(section);
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

  /** What a pointer in data that is no atom points to; few are asked for. */
  #pointer(section: Section, offset: number): Target | undefined {
    const relocation = this.#object.relocations[section.index]?.find(({ r_offset }) => r_offset === offset);
    return relocation === undefined ? undefined : this.#references.read(relocation, 0, undefined).target;
  }

  /** What sections without a rule refer to: a table of a new kernel may well be one that must be carried. */
  #namedByUnknown(): Map<Atom, string> {
    const named = new Map<Atom, string>();
    for (const atom of this.#map.atoms) {
      if (this.#object.treatment(atom.section.index).kind !== 'unknown') continue;
      for (const { target } of atom.references) {
        if (target.kind === 'atom') named.set(target.atom, atom.section.name);
      }
    }
    return named;
  }

  /** Nothing leads to it here, so that no comparison of what has a name would come upon it. */
  #unreached(): Atom[] {
    // The rest of the code that no symbol covers becomes atoms.
    for (const [index, gaps] of this.#map.gaps.entries()) {
      const section = this.#object.file.sections[index] as Section;
      for (const { from, to } of gaps)
        for (let at = from; at < to; at += this.#references.piece(section, at, to).size);
    }
    return this.#map.atoms.filter(
      atom =>
        atom.name === '' &&
        (atom.kind === 'object' || this.#map.gaps.has(atom.section.index)) &&
        atom.kept === undefined &&
        !this.#references.reached.has(atom) &&
        // The space between two objects is nothing.
        (atom.references.length > 0 || atom.bytes.some(byte => byte !== 0)),
    );
  }
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
