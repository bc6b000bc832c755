/**
 * Does a relocation of the module lead to what the compiled unit means? The kernel decides where it leads: an ordinary
 * relocation to a symbol of the module or to an export, one in a klp list to the symbol that livepatch finds by name.
 */
import { unnumbered } from './compiler-names.ts';
import { hex } from './findings.ts';
import type { JudgedUnit } from './judged-unit.ts';
import { gateOfList, isLivepatchSymbol, type KlpSymbol, lookUp, parseKlpSymbol } from './kernel-symbols.ts';
import type { Spot } from './klp-arrays.ts';
import type { ObjectText, TextRelocation, TextSymbol } from './object-text.ts';
import type { Pairing } from './pairing.ts';
import type { Shipped } from './shipped.ts';
import type { Meaning, Part } from './unit-parts.ts';

export interface KernelSide {
  readonly shipped: ReadonlyMap<string, Shipped>;
  /** Exporting object by symbol. */
  readonly exports: ReadonlyMap<string, string>;
}

/** A relocation of the module and the one of the unit that it should be. */
export interface Claim {
  readonly unit: JudgedUnit;
  /** What the unit means. */
  readonly meaning: Meaning;
  /** Bytes from the field to where the processor counts from. */
  readonly distance: number;
  readonly relocation: TextRelocation;
  /** The field is the target of a branch, or part of a table about code: no address is handed out. */
  readonly isCode: boolean;
  /** Is asked to compare what has no name. */
  sameNameless(nameless: Nameless, spot: Spot): void;
}

export interface ReferringModule extends KernelSide {
  readonly module: ObjectText;
  readonly units: readonly JudgedUnit[];
}

export class ReferenceJudge {
  /** References to a symbol that has namesakes, where nothing in the shipped code says which one is meant. */
  unconfirmed = 0;
  readonly #module: ObjectText;
  readonly #units: readonly JudgedUnit[];
  readonly #kernel: KernelSide;
  readonly #pairing: Pairing;
  readonly #isPatched: (part: Part) => boolean;

  /** @param isPatched - whether livepatch replaces a function */
  constructor(input: ReferringModule, pairing: Pairing, isPatched: (part: Part) => boolean) {
    this.#module = input.module;
    this.#units = input.units;
    this.#kernel = input;
    this.#pairing = pairing;
    this.#isPatched = isPatched;
  }

  /** @returns what is wrong with it; undefined when nothing is */
  judge(claim: Claim): string | undefined {
    const { symbol, listedIn } = claim.relocation;
    const gate = gateOfList(listedIn);
    if (isLivepatchSymbol(symbol)) {
      const klp = parseKlpSymbol(symbol.name);
      if (klp === undefined) return `'${symbol.name}' is no name that livepatch can parse`;
      return gate === undefined
        ? `'${symbol.name}' is in the ordinary list '${listedIn}', which livepatch does not look at`
        : (judgeGate(claim.unit, klp, gate) ?? this.#judgeKlp(claim, klp));
    }
    if (gate !== undefined)
      return `'${listedIn}' is for livepatch, and '${symbol.name}' is no livepatch symbol`;
    if (typeof symbol.place === 'number') {
      const position = symbol.value + claim.relocation.addend + claim.distance;
      return this.#judgeCopy(claim, { section: symbol.place, position });
    }
    return this.#judgeImport(claim, symbol);
  }

  #judgeKlp({ unit, meaning, distance, relocation }: Claim, klp: KlpSymbol): string | undefined {
    const leads = `leads to '${klp.name}' of '${klp.object}'`;
    if (meaning.kind !== 'external' && meaning.kind !== 'part')
      return `${leads}, and the source means ${describe(meaning)}`;
    const offset = relocation.addend + distance;
    if (offset !== meaning.offset)
      return `leads to '${klp.name}'+${hex(offset)}, and the source means ${describe(meaning)}`;

    const { gate } = unit.question;
    const isNamed =
      meaning.kind === 'external'
        ? klp.name === meaning.name
        : meaning.part.names.some(name => unnumbered(name) === unnumbered(klp.name));
    if (!isNamed) return `${leads}, and the source means ${describe(meaning)}`;
    if (meaning.kind === 'part') {
      if (klp.object !== gate) return `${leads}, and the source means ${describe(meaning)} of '${gate}'`;
      if (!unit.twins.hasNamesake(meaning.part))
        return `${leads}, and ${describe(meaning)} is new with the patch`;
    } else if (![gate, 'vmlinux', this.#kernel.exports.get(klp.name)].includes(klp.object)) {
      return `${leads}, which neither is patched nor exports it`;
    }

    const shipped = this.#kernel.shipped.get(klp.object);
    if (shipped === undefined) return `${leads}, which the kernel does not ship`;
    const found = lookUp(shipped, klp.name, klp.sympos);
    if ('problem' in found) return found.problem;
    const expected = this.#expected(unit, meaning, klp.object);
    if (expected === undefined && found.candidates > 1) {
      if (meaning.kind === 'external' && !isGlobalAt(shipped, klp.name, found.address))
        return `${leads} at sympos ${klp.sympos}, which is local to another unit`;
      this.unconfirmed += 1;
    }
    return expected === undefined || expected === found.address
      ? undefined
      : `${leads} at sympos ${klp.sympos}, and the shipped code of this unit means another of that name`;
  }

  #expected(unit: JudgedUnit, meaning: Meaning, object: string): bigint | undefined {
    if (object !== unit.question.gate) return undefined;
    if (meaning.kind === 'external') return unit.placed?.addressOfExternal(meaning.name);
    const twin = meaning.kind === 'part' ? unit.twins.beforeOf.get(meaning.part) : undefined;
    return twin && unit.placed?.addressOf(twin);
  }

  #judgeImport({ meaning, distance, relocation }: Claim, symbol: TextSymbol): string | undefined {
    const leads = `leads to '${symbol.name}'`;
    if (symbol.place !== 'UND') return `${leads}, which is ${symbol.place}`;
    if (symbol.bind !== 'GLOBAL') return `${leads}, which the kernel would bind to 0 if it did not find it`;
    const offset = relocation.addend + distance;
    const isMeant =
      (meaning.kind === 'external' && meaning.name === symbol.name && meaning.offset === offset) ||
      (meaning.kind === 'part' &&
        meaning.part.isGlobal &&
        meaning.part.names.includes(symbol.name) &&
        meaning.offset === offset);
    if (!isMeant)
      return `leads to '${symbol.name}'${plus(offset)}, and the source means ${describe(meaning)}`;
    const exporter = this.#kernel.exports.get(symbol.name);
    return exporter === 'vmlinux'
      ? undefined
      : `${leads}, which ${exporter === undefined ? 'nothing' : `only module '${exporter}'`} exports`;
  }

  /** What the livepatch brings itself. */
  #judgeCopy(claim: Claim, spot: Spot): string | undefined {
    const { unit, meaning } = claim;
    switch (meaning.kind) {
      case 'string': {
        const section = this.#module.section(spot.section);
        const wanted = Buffer.from(`${meaning.text}\0`, 'latin1');
        const there = this.#module.bytes(section, spot.position - meaning.offset, wanted.length);
        return there.equals(wanted)
          ? undefined
          : `leads to ${JSON.stringify(there.toString('latin1'))}, and the source means ${describe(meaning)}`;
      }
      case 'nameless':
        claim.sameNameless(meaning, { section: spot.section, position: spot.position - meaning.offset });
        return undefined;
      case 'part': {
        const copy = this.#pairing.copyOf(meaning.part);
        const isThere =
          copy !== undefined &&
          copy.unit === unit &&
          copy.section === spot.section &&
          copy.position + meaning.offset === spot.position;
        if (!isThere) return `leads to ${this.#nameOf(spot)}, and the source means ${describe(meaning)}`;
        return !claim.isCode && meaning.offset === 0 && this.#isPatched(meaning.part)
          ? `hands out the address of the new ${meaning.part.name}(), which the running kernel does not know`
          : undefined;
      }
      case 'external':
        return this.#isOfPeer(claim, meaning.name, { ...spot, position: spot.position - meaning.offset })
          ? undefined
          : `leads to ${this.#nameOf(spot)}, and the source means ${describe(meaning)}`;
    }
  }

  /** A new global of another unit of the same object, or what the livepatch's frame offers to code of the patch. */
  #isOfPeer({ unit }: Claim, name: string, spot: Spot): boolean {
    const frame = this.#pairing.frameAt(spot);
    if (frame?.bind === 'GLOBAL' && frame.name === name && frame.value === spot.position) return true;
    return this.#units.some(
      peer =>
        peer !== unit &&
        peer.question.gate === unit.question.gate &&
        peer.after.unit
          .named(name)
          .some(part => part.isGlobal && !peer.twins.hasNamesake(part) && this.#isCopyAt(part, spot)),
    );
  }

  #isCopyAt(part: Part, spot: Spot): boolean {
    const copy = this.#pairing.copyOf(part);
    return copy?.section === spot.section && copy.position === spot.position;
  }

  #nameOf(spot: Spot): string {
    const pair = this.#pairing.at(spot);
    if (pair !== undefined)
      return `'${pair.part.name}'${plus(spot.position - pair.position)} of the livepatch`;
    const section = this.#module.sections[spot.section];
    return `'${section?.name ?? spot.section}'${plus(spot.position)} of the livepatch`;
  }
}

export type Nameless = Extract<Meaning, { kind: 'nameless' }>;

/** kernel/livepatch/core.c: a module's list may not have symbols of vmlinux, which is there before any module is. */
function judgeGate(unit: JudgedUnit, klp: KlpSymbol, gate: string): string | undefined {
  const wanted = klp.object === 'vmlinux' ? 'vmlinux' : unit.question.gate;
  return gate === wanted
    ? undefined
    : `is applied when '${gate}' is there, and it is '${wanted}' that has to be: it leads to '${klp.name}' of '${klp.object}'`;
}

function isGlobalAt(shipped: Shipped, name: string, address: bigint): boolean {
  return shipped.named(name).some(symbol => symbol.address === address && symbol.isGlobal);
}

export function describe(meaning: Meaning): string {
  switch (meaning.kind) {
    case 'external':
      return `'${meaning.name}'${plus(meaning.offset)}`;
    case 'part':
      return `'${meaning.part.name}'${plus(meaning.offset)}`;
    case 'string':
      return `${JSON.stringify(meaning.text)}${plus(meaning.offset)}`;
    case 'nameless':
      return `'${meaning.section.name}'${plus(meaning.start + meaning.offset)} of the compiled unit`;
  }
}

function plus(offset: number): string {
  return offset === 0 ? '' : offset < 0 ? hex(offset) : `+${hex(offset)}`;
}
