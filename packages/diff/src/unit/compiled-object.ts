import { type EntrySizes, type SectionTreatment, treatmentOf } from '@kstitch/arch/special-sections';
import { hasFlag, SHF, SHT } from '@kstitch/elf/constants';
import type { ElfFile, ElfSymbol, Section } from '@kstitch/elf/model';
import { KstitchError } from '@kstitch/report/error';
import { gatherRelocations, type UnitRelocation } from './gather-relocations.ts';

/** An object file, its relocations by the section they are in, and what becomes of each section. */
export class CompiledObject {
  readonly file: ElfFile;
  /** By section index, ascending by offset. */
  readonly relocations: readonly (readonly UnitRelocation[] | undefined)[];
  readonly #name: string;
  readonly #treatments: readonly SectionTreatment[];

  /** @param name - path of the unit's source, for messages */
  constructor(file: ElfFile, name: string, sizes: EntrySizes) {
    this.file = file;
    this.#name = name;
    this.relocations = gatherRelocations(file);
    this.#treatments = file.sections.map(section => treatmentOf(traitsOf(section), sizes));
  }

  treatment(section: number): SectionTreatment {
    return this.#treatments[section] ?? { kind: 'unknown' };
  }

  symbolOf(relocation: UnitRelocation): ElfSymbol {
    const symbol = this.file.symbols[relocation.r_sym];
    if (symbol === undefined)
      throw this.malformed(`relocation names symbol ${relocation.r_sym}, which is not there`);
    return symbol;
  }

  malformed(what: string): KstitchError {
    return new KstitchError('unit-malformed', `Cannot read the compiled ${this.#name}: ${what}`);
  }
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
