import type { ElfFile, Relocation, Section } from '@kstitch/elf/model';
import { readRelocations, relocationSectionsOf } from '@kstitch/elf/relocations';
import { parseKlpRelocationSection } from './klp-names.ts';

/** One relocation section of a module. */
export interface RelocationGroup {
  /** The section that is relocated. */
  readonly target: Section;
  /** The `SHT_RELA` section. */
  readonly source: Section;
  /** Object whose load applies it, as the name says; undefined for an ordinary relocation section. */
  readonly gate: string | undefined;
  readonly entries: readonly Relocation[];
}

/** A module with its relocations decoded: what the checks look at. */
export interface RelocatedModule {
  readonly file: ElfFile;
  /** In the order of the file. */
  readonly groups: readonly RelocationGroup[];
}

/** @throws KstitchError - `elf-malformed`, `elf-unsupported` */
export function readRelocatedModule(file: ElfFile): RelocatedModule {
  const groups = [...relocationSectionsOf(file)]
    .flatMap(([index, sources]) => {
      const target = file.sections[index];
      if (target === undefined) return [];
      return sources.map(source => ({
        target,
        source,
        gate: parseKlpRelocationSection(source.name),
        entries: readRelocations(file, source),
      }));
    })
    .toSorted((a, b) => a.source.index - b.source.index);
  return { file, groups };
}

/** Where a table's entry points to. */
export interface SectionPlace {
  readonly section: Section;
  /** In bytes. */
  readonly offset: number;
}

/**
 * @param table - name of a section, such as `.return_sites`; a module may have several of that name
 * @returns for each of its relocations against the module's own contents: where it is, where it points. The addends of
 *   tables have no bias: their fields are data, counted from themselves
 */
export function tableTargets(
  { file, groups }: RelocatedModule,
  table: string,
): { readonly at: SectionPlace; readonly to: SectionPlace }[] {
  return groups
    .filter(({ target }) => target.name === table)
    .flatMap(({ target, entries }) =>
      entries.flatMap(({ r_offset, r_sym, r_addend }) => {
        const symbol = file.symbols[r_sym];
        if (symbol?.section === undefined) return [];
        const to = { section: symbol.section, offset: Number(symbol.st_value + r_addend) };
        return [{ at: { section: target, offset: r_offset }, to }];
      }),
    );
}

/** @returns `.text+0x1c` */
export function showPlace(section: Section, offset: number): string {
  return `${section.name}+0x${offset.toString(16)}`;
}
