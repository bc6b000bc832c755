/** Holds one module against its units; oracle.ts says in which order and why. */
import type { Diagnostic } from '@kstitch/report/diagnostic';
import { CarriedParts } from './carried-parts.ts';
import { isMadeForOnePlace, unnumbered } from './compiler-names.ts';
import { CopyJudge } from './copy-judge.ts';
import { Findings, hex } from './findings.ts';
import type { JudgedUnit } from './judged-unit.ts';
import { lookUp } from './kernel-symbols.ts';
import { type ListedPatch, readKlpArrays, spotOf } from './klp-arrays.ts';
import type { ObjectText, TextRelocation } from './object-text.ts';
import { type Pair, type Pairing, pairWithUnits } from './pairing.ts';
import type { QuestionedFunction } from './question.ts';
import { type KernelSide, ReferenceJudge } from './reference-judge.ts';
import { branchSites } from './special-tables.ts';
import { TableJudge } from './table-judge.ts';
import { entranceOf } from './twins.ts';
import type { Part } from './unit-parts.ts';

/** What was looked at. */
export interface Figures {
  readonly functions: number;
  readonly objects: number;
  readonly relocations: number;
  readonly entries: number;
  /** References by a name that the kernel has several times, where the shipped code did not say which one is meant. */
  readonly unconfirmed: number;
}

export interface JudgedModule extends KernelSide {
  readonly module: ObjectText;
  readonly units: readonly JudgedUnit[];
}

/**
 * Where in code something is, listed by objtool when it has seen the linked module, or (`__patchable_function_entries`, which
 * the kernel does not read on x86) by the compiler for the wrapper. None of it is copied from a unit.
 */
const listsOfCode: ReadonlySet<string> = new Set([
  '__patchable_function_entries',
  '.call_sites',
  '.cfi_sites',
  '.ibt_endbr_seal',
  '.orc_unwind_ip',
  '.retpoline_sites',
  '.return_sites',
]);

export class ModuleJudge {
  readonly #module: ObjectText;
  readonly #units: readonly JudgedUnit[];
  readonly #input: JudgedModule;
  readonly #findings = new Findings();
  readonly #listed: ListedPatch;
  readonly #pairing: Pairing;
  readonly #references: ReferenceJudge;
  readonly #copies: CopyJudge;
  readonly #tables: TableJudge;
  readonly #patched = new Set<Part>();
  readonly #carried: CarriedParts;

  constructor(input: JudgedModule) {
    this.#input = input;
    this.#module = input.module;
    this.#units = input.units;
    this.#listed = readKlpArrays(input.module);
    this.#pairing = pairWithUnits(input.module, input.units, this.#listed.objects, this.#findings);
    this.#references = new ReferenceJudge(input, this.#pairing, part => this.#patched.has(part));
    this.#copies = new CopyJudge(input.module, this.#references, this.#findings);
    this.#carried = new CarriedParts(this.#pairing, (unit, part) => this.#isReplaced(unit, part));
    this.#tables = new TableJudge(input, this.#pairing, this.#copies, this.#findings);
  }

  run(): readonly Diagnostic[] {
    // What livepatch is told to replace, and by what.
    this.#judgeArrays();
    // All that the patch changes must be among it.
    this.#judgeChanges();
    // Every copy is one, along everything that it refers to.
    for (const pair of this.#pairing.pairs) this.#judgePair(pair);
    // What the kernel knows about places in them.
    this.#tables.judge();
    // What is left in the module belongs to the livepatch's frame or was made by objtool.
    this.#judgeRest();
    return this.#findings.all;
  }

  get figures(): Figures {
    const functions = this.#pairing.pairs.filter(({ part }) => part.kind === 'function').length;
    return {
      functions,
      objects: this.#pairing.pairs.length - functions,
      relocations: this.#copies.accounted.size,
      entries: this.#tables.entries,
      unconfirmed: this.#references.unconfirmed,
    };
  }

  #judgeArrays(): void {
    for (const problem of this.#listed.problems)
      this.#findings.add(undefined, '', undefined, `livepatch cannot read the module: ${problem}`);
    const open = new Map<string, { readonly unit: JudgedUnit; readonly f: QuestionedFunction }>();
    for (const unit of this.#units) {
      for (const f of unit.question.patched)
        open.set(`${unit.question.gate} ${f.oldName} ${f.oldSympos}`, { unit, f });
    }
    for (const { name: object, functions } of this.#listed.objects) {
      for (const { oldName, oldSympos, newFunction } of functions) {
        const key = `${object} ${oldName} ${oldSympos}`;
        const known = open.get(key);
        open.delete(key);
        const pair = this.#pairing.at(newFunction);
        if (known === undefined || pair === undefined) {
          this.#findings.add(
            undefined,
            oldName,
            undefined,
            `the module replaces '${oldName}' (sympos ${oldSympos}) of '${object}', which it is not made for`,
          );
          continue;
        }
        const { unit, f } = known;
        if (
          pair.unit !== unit ||
          !pair.part.names.includes(f.name) ||
          pair.position !== newFunction.position
        ) {
          this.#findings.add(
            unit,
            f.name,
            undefined,
            `the module replaces ${oldName}() by ${pair.part.name}()+${hex(newFunction.position - pair.position)}`,
          );
          continue;
        }
        this.#patched.add(pair.part);
        this.#judgeOldFunction(unit, pair.part, oldName, oldSympos);
      }
    }
    for (const { unit, f } of open.values())
      this.#findings.add(
        unit,
        f.oldName,
        undefined,
        `the module does not replace ${f.oldName}() (sympos ${f.oldSympos})`,
      );
  }

  #judgeOldFunction(unit: JudgedUnit, part: Part, oldName: string, sympos: number): void {
    const { gate } = unit.question;
    const shipped = this.#input.shipped.get(gate);
    const found =
      shipped === undefined ? { problem: `the kernel ships no '${gate}'` } : lookUp(shipped, oldName, sympos);
    const twin = unit.twins.beforeOf.get(part);
    const expected = twin && unit.placed?.addressOf(twin);
    if ('problem' in found)
      this.#findings.add(unit, oldName, undefined, `livepatch does not find ${oldName}(): ${found.problem}`);
    else if (unnumbered(oldName) !== unnumbered(part.name))
      this.#findings.add(unit, oldName, undefined, `the module replaces ${oldName}() by ${part.name}()`);
    else if (expected !== undefined && expected !== found.address)
      this.#findings.add(
        unit,
        oldName,
        undefined,
        `the module replaces ${oldName}() at sympos ${sympos}, which is not the one of this unit`,
      );
  }

  #judgeChanges(): void {
    for (const unit of this.#units) {
      for (const part of unit.twins.changed) {
        if (this.#isReplaced(unit, part) || this.#carried.has(unit, part)) continue;
        this.#findings.add(
          unit,
          part.name,
          undefined,
          `the patch changes ${part.name}(), and the module does not replace it`,
        );
      }
    }
  }

  #isReplaced(unit: JudgedUnit, part: Part): boolean {
    return this.#patched.has(part) || this.#patched.has(entranceOf(unit.after.unit, part));
  }

  #judgePair({ unit, part, section, position }: Pair): void {
    const what = part.kind === 'function' ? `${part.name}()` : `'${part.name}'`;
    const there = this.#module.section(section);
    if (flagsThatMatter(there.flags) !== flagsThatMatter(part.section.flags))
      this.#findings.add(
        unit,
        part.name,
        undefined,
        `${what} is in a section '${there.flags}' and was compiled for one '${part.section.flags}'`,
      );
    if ((position - part.start) % Math.max(1, part.section.alignment) !== 0)
      this.#findings.add(
        unit,
        part.name,
        undefined,
        `${what} is not aligned to ${part.section.alignment} bytes`,
      );
    if (unit.twins.isOld(part)) {
      if (part.kind === 'function' && !this.#isReplaced(unit, part) && !this.#carried.has(unit, part))
        this.#findings.add(
          unit,
          part.name,
          undefined,
          `the module has a copy of ${what}, which the patch does not change`,
        );
      if (part.kind === 'object' && part.section.flags.includes('W') && !isMadeForOnePlace(part.name))
        this.#findings.add(
          unit,
          part.name,
          undefined,
          `the module has a copy of ${what}, whose state is in the kernel`,
        );
    }
    const sites = branchSites(unit.after.unit, unit.after.tables, part);
    this.#copies.judge({
      unit,
      from: { section: part.section, start: part.start - part.lead, size: part.lead + part.size },
      to: { section, position: position - part.lead },
      name: part.name,
      origin: part.lead,
      sites: new Map([...sites].map(([at, site]) => [at + part.lead, site])),
      silenced: this.#tables.silencedSites(unit, sites),
      constants: (unit.after.tables.constants.get(part) ?? []).map(constant => ({
        ...constant,
        at: constant.at + part.lead,
      })),
    });
  }

  #judgeRest(): void {
    for (const index of this.#module.relocatedSections()) {
      const section = this.#module.section(index);
      if (!section.flags.includes('A') || section.name === '.gnu.linkonce.this_module') continue;
      const isList = listsOfCode.has(section.name);
      for (const relocation of this.#module.relocations(index)) {
        if (this.#copies.accounted.has(relocation) || relocation.type === 'R_X86_64_NONE') continue;
        if (
          isList
            ? this.#isInCode(relocation)
            : this.#pairing.frameAt({ section: index, position: relocation.offset }) !== undefined
        )
          continue;
        this.#findings.add(
          undefined,
          section.name,
          relocation.offset,
          `nothing accounts for the relocation at ${section.name}+${hex(relocation.offset)} to '${relocation.symbol.name}'`,
        );
      }
    }
  }

  /** An ORC entry may be about the end of the last function. */
  #isInCode(relocation: TextRelocation): boolean {
    const spot = spotOf(relocation);
    const section = spot && this.#module.sections[spot.section];
    return (
      section !== undefined &&
      section.flags.includes('X') &&
      spot !== undefined &&
      spot.position <= section.size
    );
  }
}

function flagsThatMatter(flags: string): string {
  return ['A', 'W', 'X'].filter(flag => flags.includes(flag)).join('');
}
