import { altInstruction, type EntrySizes, type SectionTreatment } from '@kstitch/arch/special-sections';
import type { Section } from '@kstitch/elf/model';
import type { Reference } from './atom.ts';
import type { AtomMap, GrowingAtom } from './atom-map.ts';
import type { CompiledObject } from './compiled-object.ts';
import type { UnitRelocation } from './gather-relocations.ts';
import type { ReferenceReader } from './reference-reader.ts';

/** Gives every entry of a special section to the function that it is keyed to. */
export class TableEntries {
  readonly #object: CompiledObject;
  readonly #map: AtomMap;
  readonly #references: ReferenceReader;
  readonly #sizes: EntrySizes;

  constructor(object: CompiledObject, map: AtomMap, references: ReferenceReader, sizes: EntrySizes) {
    this.#object = object;
    this.#map = map;
    this.#references = references;
    this.#sizes = sizes;
  }

  /**
   * The assembler writes the tables in the order in which it first met each, which says nothing about the function: here they
   * come by name.
   */
  attachAll(): void {
    const { sections } = this.#object.file;
    for (const section of sections.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))) {
      const treatment = this.#object.treatment(section.index);
      if (treatment.kind === 'entries') this.#attach(section, treatment);
    }
  }

  #attach(section: Section, treatment: Extract<SectionTreatment, { kind: 'entries' }>): void {
    const relocations = this.#object.relocations[section.index] ?? [];
    if (section.sh_size === 0) return;
    const size =
      treatment.entrySize === 'one-relocation' ? section.sh_size / relocations.length : treatment.entrySize;
    // The last .parainstructions entry of older kernels lacks the padding that aligns the next.
    const short = section.name === '.parainstructions' ? section.sh_size % size : 0;
    if (!Number.isInteger(size) || size === 0 || (section.sh_size - short) % size !== 0) {
      throw this.#object.malformed(
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
          : this.#references.read(relocation, relocation.r_offset - offset, undefined, base),
      );
      const key = references.find(reference => reference.offset === treatment.key);
      if (key === undefined || key.target.kind !== 'atom') {
        throw this.#object.malformed(
          `entry at ${section.name}+0x${offset.toString(16)} belongs to no function`,
        );
      }
      const owner = this.#map.atoms[key.target.atom.id] as GrowingAtom;
      for (const { target } of references) {
        if (target.kind === 'atom' && target.atom !== owner) this.#references.noteReached(target.atom);
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
        const symbol = this.#object.symbolOf(relocation);
        const at = relocation.r_offset % size;
        if (at === 0 || symbol.section === undefined) return true;
        if (this.#object.treatment(symbol.section.index).kind !== 'strings') return true;
        const position = Number(symbol.st_value) + relocation.r_addend - bias * at;
        const { bytes } = symbol.section;
        return position === 0 || (position < bytes.length && bytes[position - 1] === 0);
      });
    return !begin(0) && begin(1) ? 'entry' : 'field';
  }

  /** The replacement of an alternative: its place is in the relocation, its length in the entry. */
  #replacementReference(relocation: UnitRelocation, entryOffset: number, entry: Uint8Array): Reference {
    const symbol = this.#object.symbolOf(relocation);
    if (symbol.section === undefined)
      throw this.#object.malformed('an alternative has no replacement in this unit');
    const at = Number(symbol.st_value) + relocation.r_addend;
    const size = entry[this.#sizes.altReplacementLength] ?? 0;
    const atom = this.#references.chunk(symbol.section, at, size);
    return {
      offset: relocation.r_offset - entryOffset,
      type: relocation.r_type,
      bias: 0,
      target: { kind: 'atom', atom, offset: 0 },
    };
  }
}
