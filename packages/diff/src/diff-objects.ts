/**
 * Two objects of one unit, before and after a patch, whoever compiled them: which functions changed, which are new, and what
 * speaks against patching them in a running kernel. Nothing but the objects is known here: no source, no kernel.
 */
import type { Architecture } from '@kstitch/arch/architecture';
import { ET, hasFlag, SHF, SHT, STB, STT } from '@kstitch/elf/constants';
import type { ElfFile } from '@kstitch/elf/model';
import { type Diagnostic, diagnostic, type Place } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { type Comparison, compareUnits } from './compare.ts';
import { type Correlation, correlate } from './correlate.ts';
import { FtraceSitesOfUnit } from './ftrace-sites-of-unit.ts';
import { mayBeLineNumber } from './line-numbers.ts';
import { guessSizesOf } from './object-tables.ts';
import { readVariables } from './runtime-constants.ts';
import type { Atom, Unit } from './unit/atom.ts';
import { coldParentOf } from './unit/names.ts';
import { readUnit } from './unit/read-unit.ts';

export interface ObjectDifference {
  /** In the order of the after-object. */
  readonly changed: readonly ChangedFunction[];
  /** New functions, in the order of the after-object. */
  readonly added: readonly AddedFunction[];
  /** What cannot be live-patched, cautions. */
  readonly diagnostics: readonly Diagnostic[];
}

export interface ChangedFunction {
  /** As the before-object has it, and the running kernel. */
  readonly name: string;
  /** As the after-object has it: the compiler numbers clones anew. */
  readonly newName: string;
  /** Other names of it in the after-object. */
  readonly aliases: readonly string[];
  readonly reason: 'changed' | 'cold part changed' | 'part changed';
  readonly section: string;
  /** In bytes, with padding before the entry. */
  readonly sizeBefore: number;
  readonly sizeAfter: number;
  /** Nothing differs but what may be a line number. */
  readonly mayBeLineNumber: boolean;
}

export interface AddedFunction {
  readonly name: string;
  readonly section: string;
  /** In bytes. */
  readonly size: number;
  readonly global: boolean;
}

/** Everything that the comparison knows, for `explain`. */
export interface ComparedObjects {
  readonly before: Unit;
  readonly after: Unit;
  readonly correlation: Correlation;
  readonly comparison: Comparison;
  readonly arch: Architecture;
  readonly difference: ObjectDifference;
}

/**
 * @param before - a relocatable object with function and data sections
 * @param after - the same unit, patched
 * @throws KstitchError - `elf-foreign` where an object is not one of the architecture, `elf-malformed`, `unit-malformed`
 */
export function diffObjects(before: ElfFile, after: ElfFile, arch: Architecture): ComparedObjects {
  checkKind(before, arch);
  checkKind(after, arch);

  // One kernel made both, so what one object leaves open the other may tell.
  const { sizes, unknown } = guessSizesOf([before, after]);
  const units = {
    before: readUnit(before, before.what, arch, sizes),
    after: readUnit(after, after.what, arch, sizes),
  };
  const correlation = correlate(units.before, units.after);
  const comparison = compareUnits(units.before, units.after, correlation, arch);
  const sites = new FtraceSitesOfUnit(before, units.before, arch);
  const difference = new ObjectDiffer(units.after, correlation, comparison, arch, sites, unknown).run();
  return { ...units, correlation, comparison, arch, difference };
}

function checkKind(file: ElfFile, arch: Architecture): void {
  const { e_type, e_machine } = file.header;
  const problem =
    e_type !== ET.REL
      ? `e_type is ${e_type}, not ET_REL: it is no relocatable object`
      : e_machine !== arch.machine
        ? `e_machine is ${e_machine}, not ${arch.machine}: it is for another processor`
        : file.sections.some(({ name }) => name.startsWith('.gnu.lto_'))
          ? 'it holds what gcc -flto wrote for the linker, which makes the code only then: compile it with -fno-lto'
          : isStripped(file)
            ? 'no symbol names a function or an object in it: it was stripped'
            : undefined;
  if (problem !== undefined)
    throw new KstitchError('elf-unsupported', `cannot compare '${file.what}': ${problem}`);
}

/** Code and data without a symbol of their own are compared where something that has one refers to them. */
function isStripped({ sections, symbols }: ElfFile): boolean {
  return (
    sections.some(
      ({ sh_type, sh_flags, sh_size }) =>
        sh_type === SHT.PROGBITS && hasFlag(sh_flags, SHF.ALLOC) && sh_size > 0,
    ) &&
    !symbols.some(({ section, type }) => section !== undefined && type !== STT.SECTION && type !== STT.FILE)
  );
}

class ObjectDiffer {
  readonly #after: Unit;
  readonly #correlation: Correlation;
  readonly #comparison: Comparison;
  readonly #arch: Architecture;
  readonly #sites: FtraceSitesOfUnit;
  readonly #unknownTables: readonly string[];
  readonly #diagnostics: Diagnostic[] = [];
  /** By the name of the function that they are parts of. */
  #coldParts: ReadonlyMap<string | undefined, readonly Atom[]> | undefined;

  constructor(
    after: Unit,
    correlation: Correlation,
    comparison: Comparison,
    arch: Architecture,
    sites: FtraceSitesOfUnit,
    unknownTables: readonly string[],
  ) {
    this.#after = after;
    this.#correlation = correlation;
    this.#comparison = comparison;
    this.#arch = arch;
    this.#sites = sites;
    this.#unknownTables = unknownTables;
  }

  run(): ObjectDifference {
    this.#diagnostics.push(...this.#comparison.diagnostics.map(finding => this.#complete(finding)));
    const changed = this.#changedFunctions();
    const added = this.#comparison.added.filter(atom => !this.#correlation.ambiguous.has(atom));
    for (const atom of this.#correlation.ambiguous) {
      if (atom.kind === 'function') this.#refuseAmbiguous(atom, atom);
    }

    // What a patched function touches must be something that a livepatch can hold.
    for (const [atom] of changed) this.#checkTouched(atom, 'changed');
    for (const atom of added) this.#checkTouched(atom, 'new');
    return {
      changed: [...changed].map(([atom, reason]) => this.#describe(atom, reason)),
      added: added.map(atom => ({
        name: atom.name,
        section: atom.section.name,
        size: atom.size,
        global: atom.symbol?.bind !== STB.LOCAL,
      })),
      diagnostics: this.#diagnostics,
    };
  }

  /** Changed functions that ftrace can redirect; what it cannot is refused, or patched through the function it is a part of. */
  #changedFunctions(): Map<Atom, ChangedFunction['reason']> {
    const changed = new Map<Atom, ChangedFunction['reason']>();
    const byName = new Map(
      this.#after.atoms.filter(atom => atom.kind === 'function').map(atom => [atom.name, atom]),
    );
    const parts: Atom[] = [];
    for (const [atom, reason] of this.#comparison.changed) {
      const before = this.#correlation.beforeOf.get(atom);
      if (before !== undefined && !this.#sites.has(before)) {
        parts.push(atom);
      } else {
        changed.set(atom, reason);
      }
    }
    for (const atom of parts) {
      const parent = byName.get(/^(.+?)\.part\.\d+/.exec(atom.name)?.[1] ?? '');
      const before = parent && this.#correlation.beforeOf.get(parent);
      if (parent !== undefined && before !== undefined && this.#sites.has(before)) {
        if (!changed.has(parent)) changed.set(parent, 'part changed');
      } else {
        changed.set(atom, 'changed');
        // A function whose line moved need not be patched.
        if (!this.#mayBeLine(atom))
          this.#refuse('no-ftrace-site', atom, `${atom.name}() cannot be patched: it has no ftrace site`);
      }
    }
    const inOrder = [...changed].toSorted(([a], [b]) => a.id - b.id);
    return new Map(inOrder);
  }

  /** What the comparison of two objects knows beyond that of two units: a line that moved in an init function refuses nothing. */
  #complete(finding: Diagnostic): Diagnostic {
    if (this.#unknownTables.includes(finding.place.section ?? ''))
      return {
        ...finding,
        notes: [...finding.notes, 'the size of its entries cannot be told from the objects'],
      };
    if (finding.code !== 'init-changed') return finding;
    const { symbol } = finding.place;
    const atom = this.#after.atoms.find(
      ({ init, kind, name }) => init && kind === 'function' && name === symbol,
    );
    if (atom === undefined || !this.#mayBeLine(atom)) return finding;
    const text = `${atom.name}(), which runs only at boot or module load, differs only where a line number may stand`;
    return diagnostic('may-be-line-number', finding.place, text);
  }

  #mayBeLine(atom: Atom): boolean {
    const before = this.#correlation.beforeOf.get(atom);
    if (before === undefined) return false;
    const pairs = this.#pairs(before, atom);
    const { sameness } = this.#comparison;
    return pairs.length > 0 && pairs.every(([b, a]) => mayBeLineNumber(b, a, sameness, this.#arch));
  }

  #describe(atom: Atom, reason: ChangedFunction['reason']): ChangedFunction {
    const before = this.#correlation.beforeOf.get(atom) ?? atom;
    const isLine = this.#mayBeLine(atom);
    if (isLine) {
      const text = `${before.name}() differs only where a line number may stand`;
      this.#diagnostics.push(diagnostic('may-be-line-number', this.#placeOf(atom), text));
    }
    return {
      name: before.name,
      newName: atom.name,
      aliases: atom.aliases,
      reason,
      section: atom.section.name,
      sizeBefore: before.size,
      sizeAfter: atom.size,
      mayBeLineNumber: isLine,
    };
  }

  /** A function and its cold part, as far as they differ. */
  #pairs(before: Atom, after: Atom): [Atom, Atom][] {
    this.#coldParts ??= Map.groupBy(this.#after.atoms, atom => coldParentOf(atom.name));
    const pairs: [Atom, Atom][] = [[before, after]];
    for (const atom of this.#coldParts.get(after.name) ?? []) {
      const twin = this.#correlation.beforeOf.get(atom);
      if (twin !== undefined) pairs.push([twin, atom]);
    }
    return pairs.filter(([b, a]) => !this.#comparison.sameness.same(b, a));
  }

  #checkTouched(atom: Atom, what: 'changed' | 'new'): void {
    const { name } = atom.section;
    if (hasFlag(atom.section.sh_flags, SHF.GROUP)) {
      const text = `${what} ${atom.name}() lies in section '${name}' of a section group, for which there is no rule`;
      this.#refuse('section-unsupported', atom, text);
    }
    const table = this.#after.namedByUnknown.get(atom);
    if (table !== undefined && !table.startsWith('.discard')) {
      const text = `section '${table}', for which there is no rule, refers to ${what} ${atom.name}()`;
      this.#refuse('section-unsupported', atom, text);
    }
    this.#diagnostics.push(...readVariables(atom, this.#arch, () => this.#placeOf(atom)).diagnostics);
    const seen = new Set<Atom>();
    for (const { target } of atom.references) {
      if (target.kind !== 'atom' || seen.has(target.atom)) continue;
      seen.add(target.atom);
      if (target.atom.kind === 'object' && this.#correlation.ambiguous.has(target.atom))
        this.#refuseAmbiguous(atom, target.atom);
    }
  }

  #refuseAmbiguous(user: Atom, atom: Atom): void {
    const text = `nothing tells which symbol of the before-object '${atom.name}' is`;
    this.#refuse('correlation-ambiguous', user, text);
  }

  #refuse(
    code: 'no-ftrace-site' | 'section-unsupported' | 'correlation-ambiguous',
    atom: Atom,
    text: string,
  ): void {
    this.#diagnostics.push(diagnostic(code, this.#placeOf(atom), text));
  }

  #placeOf(atom: Atom): Place {
    return { unit: this.#after.name, symbol: atom.name, section: atom.section.name };
  }
}
