/** Holds one module against its units; oracle.ts says in which order and why. */
import type { Diagnostic } from '@kstitch/report/diagnostic';
import { isMadeForOnePlace, unnumbered } from './compiler-names.ts';
import { Findings, hex } from './findings.ts';
import type { JudgedUnit } from './judged-unit.ts';
import { lookUp } from './kernel-symbols.ts';
import { type ListedPatch, readKlpArrays, type Spot, spotOf } from './klp-arrays.ts';
import type { ObjectText, TextRelocation, TextSection } from './object-text.ts';
import { type Pair, type Pairing, pairWithUnits, spotKey } from './pairing.ts';
import type { QuestionedFunction } from './question.ts';
import { type KernelSide, type Nameless, ReferenceJudge } from './reference-judge.ts';
import {
  type BranchSite,
  branchNop,
  branchSites,
  cutTable,
  type OwnedEntry,
  type TableName,
  tableNames,
} from './special-tables.ts';
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

/** Bytes of a unit and the bytes of the module that should be a copy of them. */
interface Copy {
  readonly unit: JudgedUnit;
  readonly from: { readonly section: TextSection; readonly start: number; readonly size: number };
  readonly to: Spot;
  /** How findings call it; offsets count from `origin` bytes behind the start. */
  readonly name: string;
  readonly origin: number;
  /** Static branches, by offset from the start. */
  readonly sites: ReadonlyMap<number, BranchSite>;
  /** Static branches that became NOPs although objtool was not to make them so. */
  readonly silenced: ReadonlySet<OwnedEntry>;
  readonly table?: TableName;
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
const staticCallSites = '.static_call_sites';

export class ModuleJudge {
  readonly #module: ObjectText;
  readonly #units: readonly JudgedUnit[];
  readonly #input: JudgedModule;
  readonly #findings = new Findings();
  readonly #listed: ListedPatch;
  readonly #pairing: Pairing;
  readonly #references: ReferenceJudge;
  /** Relocations of the module that something was said about. */
  readonly #accounted = new Set<TextRelocation>();
  readonly #compared = new Set<string>();
  readonly #patched = new Set<Part>();
  #entries = 0;

  constructor(input: JudgedModule) {
    this.#input = input;
    this.#module = input.module;
    this.#units = input.units;
    this.#listed = readKlpArrays(input.module);
    this.#pairing = pairWithUnits(input.module, input.units, this.#listed.objects, this.#findings);
    this.#references = new ReferenceJudge(
      input.module,
      input.units,
      input,
      this.#pairing,
      (unit, nameless, spot) => this.#judgeNameless(unit, nameless, spot),
    );
  }

  run(): readonly Diagnostic[] {
    // What livepatch is told to replace, and by what.
    this.#judgeArrays();
    // All that the patch changes must be among it.
    this.#judgeChanges();
    // Every copy is one, along everything that it refers to.
    for (const pair of this.#pairing.pairs) this.#judgePair(pair);
    this.#judgeTables();
    this.#judgeStaticCalls();
    // What is left in the module belongs to the livepatch's frame or was made by objtool.
    this.#judgeRest();
    return this.#findings.all;
  }

  get figures(): Figures {
    const functions = this.#pairing.pairs.filter(({ part }) => part.kind === 'function').length;
    return {
      functions,
      objects: this.#pairing.pairs.length - functions,
      relocations: this.#accounted.size,
      entries: this.#entries,
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
        if (this.#patched.has(part) || this.#patched.has(entranceOf(unit.after.unit, part))) continue;
        this.#findings.add(
          unit,
          part.name,
          undefined,
          `the patch changes ${part.name}(), and the module does not replace it`,
        );
      }
    }
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
      const isReplaced = this.#patched.has(part) || this.#patched.has(entranceOf(unit.after.unit, part));
      if (part.kind === 'function' && !isReplaced)
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
    this.#judgeCopy({
      unit,
      from: { section: part.section, start: part.start - part.lead, size: part.lead + part.size },
      to: { section, position: position - part.lead },
      name: part.name,
      origin: part.lead,
      sites: new Map([...sites].map(([at, site]) => [at + part.lead, site])),
      silenced: this.#silencedSites(unit, sites),
    });
  }

  /**
   * A tracepoint of a module cannot be switched in a livepatch: static branches are set up before the relocations of modules
   * are applied. It stays what it is while it is off.
   */
  #silencedSites(unit: JudgedUnit, sites: ReadonlyMap<number, BranchSite>): ReadonlySet<OwnedEntry> {
    const silenced = new Set<OwnedEntry>();
    if (unit.question.gate === 'vmlinux') return silenced;
    for (const { entry } of sites.values()) {
      const [, , key] = entry.relocations;
      const meaning = key && unit.after.unit.meaning(entry.section, key);
      const name =
        meaning?.kind === 'external' ? meaning.name : meaning?.kind === 'part' ? meaning.part.name : '';
      const ofVmlinux = this.#input.shipped.get('vmlinux')?.named(name).length ?? 0;
      if (name.startsWith('__tracepoint_') && ofVmlinux === 0) silenced.add(entry);
    }
    return silenced;
  }

  #judgeNameless(unit: JudgedUnit, { section, start, size }: Nameless, to: Spot): void {
    const key = `${unit.question.linkedAs} ${section.index} ${start} ${size} ${spotKey(to)}`;
    if (this.#compared.has(key)) return;
    this.#compared.add(key);
    this.#judgeCopy({ ...plain, unit, from: { section, start, size }, to, name: section.name });
  }

  #judgeCopy(copy: Copy): void {
    const { unit, from, to, name, origin } = copy;
    const there = this.#module.bytes(this.#module.section(to.section), to.position, from.size);
    const wanted = Buffer.from(unit.after.unit.object.bytes(from.section, from.start, from.size));
    const nops: { readonly start: number; readonly end: number }[] = [];
    for (const [at, { length, becomesNop, entry }] of copy.sites) {
      if (!becomesNop && !copy.silenced.has(entry)) continue;
      branchNop(length).copy(wanted, at);
      nops.push({ start: at, end: at + length });
    }
    if (!there.equals(wanted)) {
      const at = wanted.findIndex((byte, i) => byte !== there[i]);
      this.#findings.add(
        unit,
        name,
        at - origin,
        `the byte at ${name}+${hex(at - origin)} is ${byteAt(there, at)}, and was compiled as ${byteAt(wanted, at)}`,
      );
    }

    const ours = unit.after.unit.object
      .relocationsIn(from.section.index, from.start, from.size)
      .filter(
        ({ offset }) =>
          !nops.some(({ start, end }) => offset - from.start >= start && offset - from.start < end),
      );
    const open = new Map<number, TextRelocation[]>();
    for (const relocation of this.#module.relocationsIn(to.section, to.position, from.size)) {
      this.#accounted.add(relocation);
      if (relocation.type === 'R_X86_64_NONE') continue;
      const offset = relocation.offset - to.position;
      const same = open.get(offset);
      if (same === undefined) open.set(offset, [relocation]);
      else same.push(relocation);
    }
    for (const relocation of ours) {
      const offset = relocation.offset - from.start;
      const [theirs, second] = open.get(offset) ?? [];
      open.delete(offset);
      const problem =
        second === undefined ? this.#judgeRelocation(copy, relocation, theirs) : 'is in two lists';
      if (problem !== undefined)
        this.#findings.add(
          unit,
          name,
          offset - origin,
          `the relocation at ${name}+${hex(offset - origin)} ${problem}`,
        );
    }
    for (const offset of open.keys())
      this.#findings.add(
        unit,
        name,
        offset - origin,
        `the module has a relocation at ${name}+${hex(offset - origin)}, and the compiled unit has none`,
      );
  }

  #judgeRelocation(copy: Copy, ours: TextRelocation, theirs: TextRelocation | undefined): string | undefined {
    const { unit, from } = copy;
    if (theirs === undefined) return 'is missing';
    if (theirs.type !== ours.type) return `is ${theirs.type}, and was compiled as ${ours.type}`;
    const parts = unit.after.unit;
    const meant = parts.meaning(from.section, ours);
    // Replacements of alternatives follow each other without names: how long one is stands in the entry's last byte.
    const isReplacement = copy.table === '.altinstructions' && meant.kind === 'nameless';
    const size = isReplacement
      ? (parts.object.bytes(from.section, from.start + from.size - 1, 1)[0] ?? 0)
      : 0;
    return this.#references.judge({
      unit,
      meaning: isReplacement ? { ...meant, size } : meant,
      distance: parts.distance(from.section, ours),
      relocation: theirs,
    });
  }

  #judgeTables(): void {
    for (const table of tableNames) {
      const found = this.#entriesByPair(table);
      for (const pair of this.#pairing.pairs) {
        const { unit, part } = pair;
        const sites = branchSites(unit.after.unit, unit.after.tables, part);
        const silenced = this.#silencedSites(unit, sites);
        const ours = (unit.after.tables.of.get(part) ?? []).filter(
          entry => entry.table === table && !silenced.has(entry),
        );
        this.#judgeEntries(pair, table, ours, found.get(pair) ?? []);
      }
    }
  }

  /** @returns the entries of the module's table by the copy that they are about */
  #entriesByPair(table: TableName): Map<Pair, OwnedEntry[]> {
    const found = new Map<Pair, OwnedEntry[]>();
    const size = this.#units
      .map(unit => unit.after.tables.entrySizes.get(table))
      .find(each => each !== undefined);
    for (const section of this.#module.sectionsNamed(table)) {
      for (const entry of cutTable(this.#module, table, section, size ?? section.size)) {
        const key = entry.relocations.find(({ offset }) => offset === entry.offset);
        const spot = key && spotOf(key);
        const pair = spot && this.#pairing.at(spot);
        if (spot !== undefined && pair === undefined && this.#pairing.frameAt(spot) !== undefined) {
          for (const relocation of entry.relocations) this.#accounted.add(relocation);
        } else if (spot === undefined || pair === undefined || pair.part.kind !== 'function') {
          for (const relocation of entry.relocations) this.#accounted.add(relocation);
          this.#findings.add(
            undefined,
            table,
            entry.offset,
            `the entry at ${table}+${hex(entry.offset)} is stale: it is about no function of the livepatch`,
          );
        } else {
          const own = found.get(pair) ?? [];
          found.set(pair, own);
          own.push({ ...entry, at: spot.position - pair.position });
        }
      }
    }
    return found;
  }

  #judgeEntries(
    pair: Pair,
    table: TableName,
    ours: readonly OwnedEntry[],
    theirs: readonly OwnedEntry[],
  ): void {
    const { unit, part } = pair;
    const open = [...theirs];
    for (const entry of ours) {
      const at = open.findIndex(each => each.at === entry.at);
      const copy = open[at];
      if (copy === undefined) {
        this.#findings.add(
          unit,
          part.name,
          entry.at,
          `${table} lacks its entry about ${part.name}+${hex(entry.at)}`,
        );
        continue;
      }
      open.splice(at, 1);
      this.#entries += 1;
      this.#judgeCopy({
        ...plain,
        unit,
        from: { section: entry.section, start: entry.offset, size: entry.size },
        to: { section: copy.section.index, position: copy.offset },
        name: table,
        origin: -copy.offset,
        table,
      });
    }
    for (const entry of open) {
      for (const relocation of entry.relocations) this.#accounted.add(relocation);
      this.#findings.add(
        unit,
        part.name,
        entry.at,
        `the entry at ${table}+${hex(entry.offset)} is stale: the compiled unit has none about ${part.name}+${hex(entry.at)}`,
      );
    }
  }

  /** objtool lists calls of `__SCT__x` together with the key `__SCK__x`, or the trampoline where the key is not exported. */
  #judgeStaticCalls(): void {
    for (const section of this.#module.sectionsNamed(staticCallSites)) {
      const relocations = this.#module.relocations(section.index);
      for (const [i, site] of relocations.entries()) {
        this.#accounted.add(site);
        if (i % 2 === 1) continue;
        const key = relocations[i + 1];
        const spot = spotOf(site);
        const pair = spot && this.#pairing.at(spot);
        const called = spot && pair && this.#calledAt(pair, spot.position - pair.position);
        const keyName = key && (parseName(key.symbol.name) ?? this.#nameAt(key));
        const isRight =
          called !== undefined && (keyName === called || keyName === called.replace('__SCT__', '__SCK__'));
        if (!isRight)
          this.#findings.add(
            pair?.unit,
            staticCallSites,
            site.offset,
            `the entry at ${staticCallSites}+${hex(site.offset)} has key '${keyName ?? '?'}', and the call is of '${called ?? 'nothing'}'`,
          );
      }
    }
  }

  #nameAt(relocation: TextRelocation): string | undefined {
    const spot = spotOf(relocation);
    return spot && this.#pairing.at(spot)?.part.name;
  }

  #calledAt({ unit, part }: Pair, offset: number): string | undefined {
    const { object } = unit.after.unit;
    const [call] = object.relocationsIn(part.section.index, part.start + offset + 1, 2);
    const meaning = call && unit.after.unit.meaning(part.section, call);
    if (meaning?.kind === 'external') return meaning.name;
    return meaning?.kind === 'part' ? meaning.part.name : undefined;
  }

  #judgeRest(): void {
    for (const index of this.#module.relocatedSections()) {
      const section = this.#module.section(index);
      if (!section.flags.includes('A') || section.name === '.gnu.linkonce.this_module') continue;
      const isList = listsOfCode.has(section.name);
      for (const relocation of this.#module.relocations(index)) {
        if (this.#accounted.has(relocation) || relocation.type === 'R_X86_64_NONE') continue;
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

const plain = { origin: 0, sites: new Map<number, BranchSite>(), silenced: new Set<OwnedEntry>() } as const;

function flagsThatMatter(flags: string): string {
  return ['A', 'W', 'X'].filter(flag => flags.includes(flag)).join('');
}

function byteAt(bytes: Buffer, at: number): string {
  const byte = bytes[at];
  return byte === undefined ? 'missing' : `0x${byte.toString(16).padStart(2, '0')}`;
}

function parseName(symbol: string): string | undefined {
  if (!symbol.startsWith('.klp.sym.')) return symbol.startsWith('__SC') ? symbol : undefined;
  return symbol.slice(symbol.indexOf('.', '.klp.sym.'.length) + 1, symbol.lastIndexOf(','));
}
