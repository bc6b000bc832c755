/**
 * Which function or object of the compiled unit after the patch is which of the one before, and which functions differ.
 */
import { parentOfColdPart, unnumbered } from './compiler-names.ts';
import { FunctionText } from './function-text.ts';
import type { UnitTables } from './special-tables.ts';
import type { Meaning, Part, UnitParts } from './unit-parts.ts';

export interface Side {
  readonly unit: UnitParts;
  readonly tables: UnitTables;
}

export interface Twins {
  /** The part before of a part after, where that is beyond doubt. */
  readonly beforeOf: ReadonlyMap<Part, Part>;
  /** @returns whether the unit before has a part of that name, numbers aside */
  hasNamesake(part: Part): boolean;
  /** @returns whether the unit before has as many of that name, so that none of them is new */
  isOld(part: Part): boolean;
  /** Functions after that differ from all that they could have been before. */
  readonly changed: readonly Part[];
}

export function findTwins(before: Side, after: Side): Twins {
  const ours = bucketsOf(after.unit);
  const theirs = bucketsOf(before.unit);
  const changedTables = findChangedTables(before, after, ours, theirs);
  const textBefore = new FunctionText(before.unit, before.tables);
  const textAfter = new FunctionText(after.unit, after.tables, part =>
    changedTables.has(part) ? ' changed' : '',
  );

  const beforeOf = new Map<Part, Part>();
  const changed: Part[] = [];
  const old = new Set<Part>();
  const namesakes = new Set<Part>();
  for (const [key, parts] of ours) {
    const candidates = theirs.get(key) ?? [];
    if (candidates.length === 0) continue;
    for (const part of parts) namesakes.add(part);
    if (candidates.length >= parts.length) for (const part of parts) old.add(part);
    const [part] = parts;
    const [candidate] = candidates;
    if (parts.length === 1 && candidates.length === 1 && part && candidate) beforeOf.set(part, candidate);
    if (part?.kind === 'function') changed.push(...unmatched(parts, candidates, textAfter, textBefore));
  }
  pairByReferences(before.unit, after.unit, beforeOf);
  return {
    beforeOf,
    hasNamesake: part => namesakes.has(part),
    isOld: part => old.has(part),
    changed,
  };
}

function bucketsOf(unit: UnitParts): Map<string, Part[]> {
  const buckets = new Map<string, Part[]>();
  for (const part of unit.parts) {
    if (isInit(part)) continue;
    const key = `${part.kind} ${unnumbered(part.name)}`;
    const bucket = buckets.get(key);
    if (bucket === undefined) buckets.set(key, [part]);
    else bucket.push(part);
  }
  return buckets;
}

/**
 * What runs at boot or when a module is loaded: nothing of it can be patched, and nothing of it is. `.meminit.text` stays in
 * memory where the kernel can add memory (CONFIG_MEMORY_HOTPLUG), and code that stays refers to it.
 */
function isInit({ section: { name } }: Part): boolean {
  return /^\.(init|exit)\./.test(name);
}

/** @returns read-only objects whose contents differ: a function that reads one does something else than before */
function findChangedTables(
  before: Side,
  after: Side,
  ours: ReadonlyMap<string, readonly Part[]>,
  theirs: ReadonlyMap<string, readonly Part[]>,
): ReadonlySet<Part> {
  const changed = new Set<Part>();
  const textBefore = new FunctionText(before.unit, before.tables);
  const textAfter = new FunctionText(after.unit, after.tables);
  for (const [key, parts] of ours) {
    const tables = parts.filter(part => part.kind === 'object' && !part.section.flags.includes('W'));
    const candidates = theirs.get(key) ?? [];
    if (tables.length === 0 || candidates.length === 0) continue;
    for (const part of unmatched(tables, candidates, textAfter, textBefore)) changed.add(part);
  }
  return changed;
}

/** @returns the parts left over when each has been given a candidate that reads the same, if candidates are left over too */
function unmatched(
  parts: readonly Part[],
  candidates: readonly Part[],
  text: FunctionText,
  candidateText: FunctionText,
): Part[] {
  const left = candidates.map(candidate => candidateText.of(candidate));
  const rest = parts.filter(part => {
    const match = left.indexOf(text.of(part));
    if (match >= 0) left.splice(match, 1);
    return match < 0;
  });
  return left.length === 0 ? [] : rest;
}

/**
 * Static locals and clones of one name are told apart by who refers to them: in functions that are twins and refer to
 * as many of that name, the first is the first, and so on. Where two places contradict each other, nothing is said.
 */
function pairByReferences(before: UnitParts, after: UnitParts, beforeOf: Map<Part, Part>): void {
  const guesses = new Map<Part, Set<Part>>();
  for (const [part, twin] of beforeOf) {
    const ours = partsReferredTo(after, part);
    const theirs = partsReferredTo(before, twin);
    for (const [key, list] of ours) {
      const others = theirs.get(key);
      if (others?.length !== list.length) continue;
      for (const [i, target] of list.entries()) {
        const other = others[i];
        if (other === undefined || beforeOf.has(target)) continue;
        const known = guesses.get(target);
        if (known === undefined) guesses.set(target, new Set([other]));
        else known.add(other);
      }
    }
  }
  const taken = new Map<Part, number>();
  for (const set of guesses.values()) for (const guess of set) taken.set(guess, (taken.get(guess) ?? 0) + 1);
  for (const [target, set] of guesses) {
    const [guess] = set;
    if (set.size === 1 && guess !== undefined && taken.get(guess) === 1) beforeOf.set(target, guess);
  }
}

function partsReferredTo(unit: UnitParts, part: Part): Map<string, Part[]> {
  const found = new Map<string, Part[]>();
  for (const relocation of unit.object.relocationsIn(part.section.index, part.start, part.size)) {
    const meaning: Meaning = unit.meaning(part.section, relocation);
    if (meaning.kind !== 'part') continue;
    const key = `${meaning.part.kind} ${unnumbered(meaning.part.name)}`;
    const list = found.get(key);
    if (list === undefined) found.set(key, [meaning.part]);
    else list.push(meaning.part);
  }
  return found;
}

/** @returns the function that the kernel calls when it means this one: a cold part is run through its parent alone */
export function entranceOf(unit: UnitParts, part: Part): Part {
  const parent = parentOfColdPart(part.name);
  return (parent === undefined ? undefined : unit.named(parent)[0]) ?? part;
}
