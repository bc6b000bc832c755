/**
 * Correlate: which atom of the after-object is which of the before-object.
 *
 * Names do most of it, but the compiler numbers static locals and clones anew each time: before, `count.3` may be what
 * `count.4` is after, and `count.3` after another variable altogether. Pairing the wrong two would share the wrong
 * state, so the number never decides. Atoms of one base name form a bucket, and a bucket is resolved
 *   1. when it holds one atom on either side;
 *   2. by content, where just one atom on either side has it;
 *   3. by reference: in two functions that are twins already, the k-th reference into the bucket means the same atom,
 *      as long as both have equally many. New twins give new references, so this is repeated until nothing changes.
 * What is left is ambiguous, and refused if the patch needs it. 19 static type_show() functions are no problem: each is
 * alone in its unit.
 */
import { hasFlag, SHF } from '@kstitch/elf/constants';
import type { Atom, Reference, Unit } from './unit/atom.ts';
import { contentKey } from './unit/content.ts';
import { baseName, isNumbered, isSpecialStatic } from './unit/names.ts';

export interface Correlation {
  /** Before-atom of each correlated after-atom. */
  readonly beforeOf: ReadonlyMap<Atom, Atom>;
  readonly afterOf: ReadonlyMap<Atom, Atom>;
  /** After-atoms that may be one of several before-atoms, and nothing tells which. */
  readonly ambiguous: ReadonlySet<Atom>;
}

interface Bucket {
  before: Atom[];
  after: Atom[];
}

export function correlate(before: Unit, after: Unit): Correlation {
  return new Correlator(before, after).run();
}

class Correlator {
  readonly #beforeOf = new Map<Atom, Atom>();
  readonly #afterOf = new Map<Atom, Atom>();
  readonly #buckets = new Map<string, Bucket>();
  readonly #before: Unit;
  readonly #after: Unit;

  constructor(before: Unit, after: Unit) {
    this.#before = before;
    this.#after = after;
  }

  run(): Correlation {
    for (const atom of this.#before.atoms) this.#bucketOf(atom)?.before.push(atom);
    for (const atom of this.#after.atoms) this.#bucketOf(atom)?.after.push(atom);

    for (const bucket of this.#buckets.values()) {
      const [before] = bucket.before;
      const [after] = bucket.after;
      if (bucket.before.length === 1 && bucket.after.length === 1 && before && after)
        this.#pair(before, after);
    }
    for (const bucket of this.#open()) this.#pairByContent(bucket);
    while (this.#pairByReferences()) {
      // Each round may have made twins whose references say more.
    }
    this.#dropUnsupportedStatics();
    return { beforeOf: this.#beforeOf, afterOf: this.#afterOf, ambiguous: this.#ambiguous() };
  }

  #bucketOf(atom: Atom): Bucket | undefined {
    if (atom.name === '' || isSpecialStatic(atom.name)) return undefined;
    const key = `${atom.kind}:${baseName(atom.name)}`;
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = { before: [], after: [] };
      this.#buckets.set(key, bucket);
    }
    return bucket;
  }

  /** Buckets with something left to pair, reduced to that. */
  *#open(): Iterable<Bucket> {
    for (const bucket of this.#buckets.values()) {
      if (bucket.before.length < 2 && bucket.after.length < 2) continue;
      const before = bucket.before.filter(atom => !this.#afterOf.has(atom));
      const after = bucket.after.filter(atom => !this.#beforeOf.has(atom));
      if (before.length > 0 && after.length > 0) yield { before, after };
    }
  }

  #pair(before: Atom, after: Atom): void {
    this.#beforeOf.set(after, before);
    this.#afterOf.set(before, after);
  }

  #pairByContent(bucket: Bucket): void {
    const before = groupBy(bucket.before, contentKey);
    const after = groupBy(bucket.after, contentKey);
    for (const [key, candidates] of after) {
      const others = before.get(key);
      const [a] = candidates;
      const [b] = others ?? [];
      // Zeroed variables of one size all look alike: content tells only where it is a function's.
      if (candidates.length === 1 && others?.length === 1 && a && b && a.kind === 'function')
        this.#pair(b, a);
    }
  }

  #pairByReferences(): boolean {
    const open = new Map<Atom, string>();
    for (const bucket of this.#open()) {
      for (const atom of [...bucket.before, ...bucket.after])
        open.set(atom, `${atom.kind}:${baseName(atom.name)}`);
    }
    if (open.size === 0) return false;
    let progress = false;
    const verdicts = new Map<Atom, Atom | undefined>();
    for (const [after, before] of this.#beforeOf) {
      const ours = referencesByBucket(after, open);
      if (ours.size === 0) continue;
      const theirs = referencesByBucket(before, open);
      for (const [key, list] of ours) {
        const others = theirs.get(key);
        if (others?.length !== list.length) continue;
        list.forEach((atom, i) => {
          const other = others[i] as Atom;
          // Two functions that disagree cancel each other out.
          verdicts.set(atom, verdicts.has(atom) && verdicts.get(atom) !== other ? undefined : other);
        });
      }
    }
    const claimed = new Set<Atom>();
    for (const [after, before] of verdicts) {
      if (before === undefined || claimed.has(before)) continue;
      claimed.add(before);
      this.#pair(before, after);
      progress = true;
    }
    return progress;
  }

  /**
   * A static local that is alone in its bucket on either side may still be two different variables: one function's went,
   * another's came. Twins that refer to it on both sides prove that it is one.
   */
  #dropUnsupportedStatics(): void {
    const beforeUsers = usersOf(this.#before);
    const afterUsers = usersOf(this.#after);
    for (const [after, before] of this.#beforeOf) {
      if (after.kind !== 'object' || !isNumbered(after.name)) continue;
      const theirs = beforeUsers.get(before);
      const ours = afterUsers.get(after);
      if (theirs === undefined && ours === undefined) continue;
      const supported = [...(ours ?? [])].some(user => {
        const twin = this.#beforeOf.get(user);
        return twin !== undefined && theirs?.has(twin) === true;
      });
      if (supported) continue;
      this.#beforeOf.delete(after);
      this.#afterOf.delete(before);
    }
  }

  #ambiguous(): Set<Atom> {
    const ambiguous = new Set<Atom>();
    for (const bucket of this.#buckets.values()) {
      if (!bucket.before.some(atom => !this.#afterOf.has(atom))) continue;
      for (const atom of bucket.after)
        if (!this.#beforeOf.has(atom) && holdsStateOrCode(atom)) ambiguous.add(atom);
    }
    return ambiguous;
  }
}

function holdsStateOrCode(atom: Atom): boolean {
  return atom.kind === 'function' || hasFlag(atom.section.sh_flags, SHF.WRITE);
}

function* allReferences(atom: Atom): Iterable<Reference> {
  yield* atom.references;
  for (const entry of atom.entries) yield* entry.references;
}

/** The atoms of still unresolved buckets that an atom refers to, in order, by bucket. */
function referencesByBucket(atom: Atom, open: ReadonlyMap<Atom, string>): Map<string, Atom[]> {
  const lists = new Map<string, Atom[]>();
  for (const reference of allReferences(atom)) {
    if (reference.target.kind !== 'atom') continue;
    const target = reference.target.atom;
    const key = open.get(target);
    if (key === undefined) continue;
    const list = lists.get(key);
    if (list === undefined) lists.set(key, [target]);
    else list.push(target);
  }
  return lists;
}

function usersOf(unit: Unit): Map<Atom, Set<Atom>> {
  const users = new Map<Atom, Set<Atom>>();
  for (const atom of unit.atoms) {
    for (const reference of allReferences(atom)) {
      if (reference.target.kind !== 'atom') continue;
      const set = users.get(reference.target.atom);
      if (set === undefined) users.set(reference.target.atom, new Set([atom]));
      else set.add(atom);
    }
  }
  return users;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
