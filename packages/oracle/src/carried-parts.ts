/**
 * Functions that a livepatch brings though it does not redirect them: ftrace has no site in them, so it has to redirect
 * all who call them. Only then does nobody run the old one any more.
 */
import { isBranchField } from './copy-judge.ts';
import type { JudgedUnit } from './judged-unit.ts';
import type { Pairing } from './pairing.ts';
import { entranceOf } from './twins.ts';
import type { Part } from './unit-parts.ts';

interface Uses {
  readonly callers: Set<Part>;
  /** Whether something else than a call leads to it. */
  leaks: boolean;
}

export class CarriedParts {
  readonly #pairing: Pairing;
  readonly #isReplaced: (unit: JudgedUnit, part: Part) => boolean;
  readonly #uses = new Map<JudgedUnit, ReadonlyMap<Part, Uses>>();

  /** @param isReplaced - whether livepatch redirects the function, or that which it is the cold part of */
  constructor(pairing: Pairing, isReplaced: (unit: JudgedUnit, part: Part) => boolean) {
    this.#pairing = pairing;
    this.#isReplaced = isReplaced;
  }

  /** @returns whether the module has the function and everybody who may call it calls the copy in the module */
  has(unit: JudgedUnit, part: Part, onTheWay: ReadonlySet<Part> = new Set()): boolean {
    if (onTheWay.has(part)) return true;
    if (part.kind !== 'function' || part.isGlobal || hasFtraceSite(unit, part)) return false;
    if (this.#pairing.copyOf(part) === undefined) return false;
    const uses = this.#usesIn(unit).get(part);
    if (uses === undefined || uses.leaks || uses.callers.size === 0) return false;
    const way = new Set([...onTheWay, part]);
    return [...uses.callers].every(
      caller => this.#isReplaced(unit, caller) || !unit.twins.isOld(caller) || this.has(unit, caller, way),
    );
  }

  #usesIn(unit: JudgedUnit): ReadonlyMap<Part, Uses> {
    let found = this.#uses.get(unit);
    if (found === undefined) {
      found = readUses(unit);
      this.#uses.set(unit, found);
    }
    return found;
  }
}

function readUses({ after: { unit } }: JudgedUnit): ReadonlyMap<Part, Uses> {
  const found = new Map<Part, Uses>();
  for (const index of unit.object.relocatedSections()) {
    const section = unit.object.section(index);
    if (!section.flags.includes('A') || /^\.(?:init|exit|meminit|memexit)\./.test(section.name)) continue;
    for (const relocation of unit.object.relocations(index)) {
      const meaning = unit.meaning(section, relocation);
      if (meaning.kind !== 'part' || meaning.part.kind !== 'function') continue;
      const { part, offset } = meaning;
      const user = unit.partAt(index, relocation.offset);
      if (user === part) continue;
      const uses = found.get(part) ?? { callers: new Set(), leaks: false };
      found.set(part, uses);
      if (user?.kind === 'function' && isBranchField(unit.object, section, relocation.offset))
        uses.callers.add(entranceOf(unit, user));
      // What a special table says of places within the function is no way into it.
      else if (offset === 0 || user !== undefined) uses.leaks = true;
    }
  }
  return found;
}

function hasFtraceSite({ after: { unit } }: JudgedUnit, { section, start, size }: Part): boolean {
  return unit.object
    .relocationsIn(section.index, start, size)
    .some(({ symbol }) => symbol.name === '__fentry__');
}
