import {
  type GuessedSizes,
  guessEntrySizes,
  guessedTables,
  type TableShape,
} from '@kstitch/arch/guess-entry-sizes';
import { hasFlag, SHF, SHT } from '@kstitch/elf/constants';
import type { ElfFile } from '@kstitch/elf/model';
import { readRelocations } from '@kstitch/elf/relocations';

/** @returns sizes of special-section entries, from all tables of the objects together */
export function guessSizesOf(files: readonly ElfFile[]): GuessedSizes {
  return guessEntrySizes(files.flatMap(tablesOf));
}

function tablesOf(file: ElfFile): TableShape[] {
  const tables = file.sections
    .filter(section => guessedTables.has(section.name) && hasFlag(section.sh_flags, SHF.ALLOC))
    .map(({ index, name, sh_size }) => ({
      index,
      name,
      size: sh_size,
      relocations: relocationsOf(file, index),
    }));
  return tables;
}

function relocationsOf(file: ElfFile, target: number): TableShape['relocations'] {
  return file.sections
    .filter(section => section.sh_type === SHT.RELA && section.sh_info === target)
    .flatMap(section => readRelocations(file, section))
    .sort((a, b) => a.r_offset - b.r_offset)
    .map(({ r_offset, r_sym }) => {
      const section = file.symbols[r_sym]?.section;
      const to =
        section === undefined ? 'undefined' : hasFlag(section.sh_flags, SHF.EXECINSTR) ? 'code' : 'data';
      return { offset: r_offset, to };
    });
}
