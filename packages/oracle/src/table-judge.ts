/** Tables about places in code: each function of the module has the entries that it was compiled with, and no others. */
import { type CopyJudge, plainCopy } from './copy-judge.ts';
import { type Findings, hex } from './findings.ts';
import type { JudgedUnit } from './judged-unit.ts';
import { spotOf } from './klp-arrays.ts';
import type { ObjectText, TextRelocation } from './object-text.ts';
import type { Pair, Pairing } from './pairing.ts';
import type { Shipped } from './shipped.ts';
import {
  type BranchSite,
  branchSites,
  cutTable,
  type OwnedEntry,
  type TableName,
  tableNames,
} from './special-tables.ts';

const staticCallSites = '.static_call_sites';
/** Where the livepatch has the key of branches that nothing switches on. */
const neverSection = '.data.kstitch_never';

export interface TablesOfModule {
  readonly module: ObjectText;
  readonly units: readonly JudgedUnit[];
  readonly shipped: ReadonlyMap<string, Shipped>;
}

export class TableJudge {
  /** Entries compared. */
  entries = 0;
  readonly #module: ObjectText;
  readonly #units: readonly JudgedUnit[];
  readonly #shipped: ReadonlyMap<string, Shipped>;
  readonly #pairing: Pairing;
  readonly #copies: CopyJudge;
  readonly #findings: Findings;

  constructor(input: TablesOfModule, pairing: Pairing, copies: CopyJudge, findings: Findings) {
    this.#module = input.module;
    this.#units = input.units;
    this.#shipped = input.shipped;
    this.#pairing = pairing;
    this.#copies = copies;
    this.#findings = findings;
  }

  judge(): void {
    this.#judgeTables();
    this.#judgeStaticCalls();
  }

  /**
   * A tracepoint of a module cannot be switched in a livepatch: static branches are set up before the relocations of modules
   * are applied. Its branches hang on a key of the livepatch's own that is never switched on.
   */
  silencedSites(unit: JudgedUnit, sites: ReadonlyMap<number, BranchSite>): ReadonlySet<OwnedEntry> {
    const silenced = new Set<OwnedEntry>();
    if (unit.question.gate === 'vmlinux') return silenced;
    for (const { entry } of sites.values()) {
      const [, , key] = entry.relocations;
      const meaning = key && unit.after.unit.meaning(entry.section, key);
      const name =
        meaning?.kind === 'external' ? meaning.name : meaning?.kind === 'part' ? meaning.part.name : '';
      const ofVmlinux = this.#shipped.get('vmlinux')?.named(name).length ?? 0;
      if (name.startsWith('__tracepoint_') && ofVmlinux === 0) silenced.add(entry);
    }
    return silenced;
  }

  #judgeTables(): void {
    for (const table of tableNames) {
      const found = this.#entriesByPair(table);
      for (const pair of this.#pairing.pairs) {
        const { unit, part } = pair;
        const sites = branchSites(unit.after.unit, unit.after.tables, part);
        const silenced = this.silencedSites(unit, sites);
        const ours = (unit.after.tables.of.get(part) ?? []).filter(entry => entry.table === table);
        this.#judgeEntries(pair, table, ours, found.get(pair) ?? [], silenced);
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
          for (const relocation of entry.relocations) this.#copies.accounted.add(relocation);
        } else if (spot === undefined || pair === undefined || pair.part.kind !== 'function') {
          for (const relocation of entry.relocations) this.#copies.accounted.add(relocation);
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

  /** A silenced site has a key of the livepatch that nothing switches on. */
  #judgeSilenced({ unit, part }: Pair, { relocations, at }: OwnedEntry): void {
    for (const relocation of relocations) this.#copies.accounted.add(relocation);
    const key = relocations.at(-1);
    const spot = key && spotOf(key);
    if (spot !== undefined && this.#module.section(spot.section).name === neverSection) return;
    const text = `the silenced branch at ${part.name}+${hex(at)} hangs on something else than '${neverSection}'`;
    this.#findings.add(unit, part.name, at, text);
  }

  #judgeEntries(
    pair: Pair,
    table: TableName,
    ours: readonly OwnedEntry[],
    theirs: readonly OwnedEntry[],
    silenced: ReadonlySet<OwnedEntry>,
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
      this.entries += 1;
      if (silenced.has(entry)) {
        this.#judgeSilenced(pair, copy);
        continue;
      }
      this.#copies.judge({
        ...plainCopy,
        unit,
        from: { section: entry.section, start: entry.offset, size: entry.size },
        to: { section: copy.section.index, position: copy.offset },
        name: table,
        origin: -copy.offset,
        table,
      });
    }
    for (const entry of open) {
      for (const relocation of entry.relocations) this.#copies.accounted.add(relocation);
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
        this.#copies.accounted.add(site);
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
}

function parseName(symbol: string): string | undefined {
  if (!symbol.startsWith('.klp.sym.')) return symbol.startsWith('__SC') ? symbol : undefined;
  return symbol.slice(symbol.indexOf('.', '.klp.sym.'.length) + 1, symbol.lastIndexOf(','));
}
