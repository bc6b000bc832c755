/**
 * Correlate: which atom of the after-object is which of the before-object.
 *
 * Names do most of it, but the compiler numbers static locals and clones anew each time: before, `count.3` may be what
 * `count.4` is after, and `count.3` after another variable altogether. Pairing the wrong two would share the wrong
 * state, so the number never decides. Atoms of one base name form a bucket, and a bucket is resolved
 *   1. when it holds one atom on either side;
 *   2. by file, in an object that was linked from several;
 *   3. by content, where just one atom on either side has it;
 *   4. by reference: in two functions that are twins already, the k-th reference into the bucket means the same atom,
 *      as long as both have equally many. New twins give new references, so this is repeated until nothing changes;
 *   5. by family: a function and its clones (`f`, `f.part.0`, `f.isra.1`) that use one atom of the bucket before and one
 *      after mean the same one, wherever the compiler put the code.
 * What is left is ambiguous, and refused if the patch needs it. 19 static type_show() functions are no problem: each is
 * alone in its unit.
 */
import { type Atom, isReadOnly, type Reference, type Unit } from './unit/atom.ts';
import { contentKey } from './unit/content.ts';
import { baseName, isNumbered } from './unit/names.ts';
import { specialStaticsOfPair } from './unit/special-statics.ts';

export interface Correlation {
  /** Before-atom of each correlated after-atom. */
  readonly beforeOf: ReadonlyMap<Atom, Atom>;
  readonly afterOf: ReadonlyMap<Atom, Atom>;
  /** After-atoms that may be one of several before-atoms, and nothing tells which. */
  readonly ambiguous: ReadonlySet<Atom>;
  /** Atoms of either unit that every function has its own of, whatever they are called. */
  readonly specialStatics: ReadonlySet<Atom>;
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
  readonly #functions = new Map<string, Bucket>();
  readonly #objects = new Map<string, Bucket>();
  readonly #before: Unit;
  readonly #after: Unit;
  readonly #specialStatics: ReadonlySet<Atom>;

  constructor(before: Unit, after: Unit) {
    this.#before = before;
    this.#after = after;
    this.#specialStatics = specialStaticsOfPair(before, after);
  }

  run(): Correlation {
    for (const atom of this.#before.atoms) this.#bucketOf(atom)?.before.push(atom);
    for (const atom of this.#after.atoms) this.#bucketOf(atom)?.after.push(atom);

    for (const bucket of this.#buckets()) {
      const [before] = bucket.before;
      const [after] = bucket.after;
      if (bucket.before.length === 1 && bucket.after.length === 1 && before && after)
        this.#pair(before, after);
    }
    for (const bucket of this.#open()) this.#pairUnique(bucket, atom => atom.file);
    // Zeroed variables of one size all look alike: content tells only of what never changes.
    for (const bucket of this.#open())
      this.#pairUnique(bucket, atom => (isReadOnly(atom) ? contentKey(atom) : undefined));
    while (this.#pairByReferences()) {
      // Each round may have made twins whose references say more.
    }
    this.#pairByFamily();
    this.#pairAliases();
    this.#dropUnsupportedStatics();
    return {
      beforeOf: this.#beforeOf,
      afterOf: this.#afterOf,
      ambiguous: this.#ambiguous(),
      specialStatics: this.#specialStatics,
    };
  }

  #bucketOf(atom: Atom): Bucket | undefined {
    if (atom.name === '') return undefined;
    if (this.#specialStatics.has(atom)) return undefined;
    const buckets = atom.kind === 'function' ? this.#functions : this.#objects;
    const key = baseName(atom.name);
    let bucket = buckets.get(key);
    if (bucket === undefined) {
      bucket = { before: [], after: [] };
      buckets.set(key, bucket);
    }
    return bucket;
  }

  *#buckets(): Iterable<Bucket> {
    yield* this.#functions.values();
    yield* this.#objects.values();
  }

  /** Buckets with something left to pair, reduced to that. */
  *#open(): Iterable<Bucket> {
    for (const bucket of this.#buckets()) {
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

  /** Pairs atoms of a bucket that share a key which nothing else there has. */
  #pairUnique(bucket: Bucket, keyOf: (atom: Atom) => string | undefined): void {
    const before = groupBy(bucket.before, keyOf);
    for (const [key, candidates] of groupBy(bucket.after, keyOf)) {
      const others = before.get(key);
      const [a] = candidates;
      const [b] = others ?? [];
      if (candidates.length === 1 && others?.length === 1 && a && b) this.#pair(b, a);
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
        // Two of one name in one function may have changed places: where the function changed, order says nothing.
        if (new Set(list).size > 1 && contentKey(after) !== contentKey(before)) continue;
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

  #pairByFamily(): void {
    const open = new Map<Atom, Bucket>();
    for (const bucket of this.#open()) {
      for (const atom of [...bucket.before, ...bucket.after])
        if (atom.kind === 'object') open.set(atom, bucket);
    }
    if (open.size === 0) return;
    const users = [usersOf(this.#before, open), usersOf(this.#after, open)] as const;
    for (const bucket of new Set(open.values())) {
      const before = byFamily(bucket.before, users[0]);
      for (const [family, [after, more]] of byFamily(bucket.after, users[1])) {
        const [twin, other] = before.get(family) ?? [];
        if (after === undefined || twin === undefined || more !== undefined || other !== undefined) continue;
        if (after.size === twin.size && !this.#beforeOf.has(after) && !this.#afterOf.has(twin))
          this.#pair(twin, after);
      }
    }
  }

  /** The name that stands for an atom may be another of its aliases after the patch. */
  #pairAliases(): void {
    const open = new Map<string, Atom>();
    for (const before of this.#before.atoms) {
      if (before.aliases.length === 0 || this.#afterOf.has(before)) continue;
      for (const name of before.aliases) open.set(`${before.kind} ${name}`, before);
    }
    for (const after of this.#after.atoms) {
      if (after.name === '' || this.#beforeOf.has(after)) continue;
      for (const name of [after.name, ...after.aliases]) {
        const before = open.get(`${after.kind} ${name}`) ?? this.#unpairedNamed(after.kind, name);
        if (before === undefined || this.#afterOf.has(before) || this.#beforeOf.has(after)) continue;
        this.#pair(before, after);
      }
    }
  }

  #unpairedNamed(kind: Atom['kind'], name: string): Atom | undefined {
    const bucket = (kind === 'function' ? this.#functions : this.#objects).get(baseName(name));
    const [atom, more] = bucket?.before ?? [];
    return more === undefined && atom?.name === name ? atom : undefined;
  }

  /**
   * A static local that is alone in its bucket on either side may still be two different variables: one function's went,
   * another's came. Twins that refer to it on both sides prove that it is one.
   */
  #dropUnsupportedStatics(): void {
    const statics = new Map<Atom, Atom>();
    for (const [after, before] of this.#beforeOf) {
      if (after.kind === 'object' && (isNumbered(after.name) || isNumbered(before.name)))
        statics.set(after, before);
    }
    if (statics.size === 0) return;
    const beforeUsers = usersOf(this.#before, new Set(statics.values()));
    const afterUsers = usersOf(this.#after, statics);
    for (const [after, before] of statics) {
      const theirs = beforeUsers.get(before);
      const ours = afterUsers.get(after);
      if (theirs === undefined && ours === undefined) continue;
      const families = new Set([...(theirs ?? [])].map(familyOf));
      const supported = [...(ours ?? [])].some(user => {
        const twin = this.#beforeOf.get(user);
        return (twin !== undefined && theirs?.has(twin) === true) || families.has(familyOf(user));
      });
      if (supported) continue;
      this.#beforeOf.delete(after);
      this.#afterOf.delete(before);
    }
  }

  #ambiguous(): Set<Atom> {
    const ambiguous = new Set<Atom>();
    for (const bucket of this.#buckets()) {
      if (!bucket.before.some(atom => !this.#afterOf.has(atom))) continue;
      for (const atom of bucket.after)
        if (!this.#beforeOf.has(atom) && holdsStateOrCode(atom)) ambiguous.add(atom);
    }
    return ambiguous;
  }
}

function holdsStateOrCode(atom: Atom): boolean {
  return atom.kind === 'function' || !isReadOnly(atom);
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

interface AtomSet {
  has(atom: Atom): boolean;
}

/** @returns what refers to each of `wanted` */
function usersOf(unit: Unit, wanted: AtomSet): Map<Atom, Set<Atom>> {
  const users = new Map<Atom, Set<Atom>>();
  const note = (user: Atom, references: readonly Reference[]): void => {
    for (const { target } of references) {
      if (target.kind !== 'atom' || target.atom.kind !== 'object' || !wanted.has(target.atom)) continue;
      const set = users.get(target.atom);
      if (set === undefined) users.set(target.atom, new Set([user]));
      else set.add(user);
    }
  };
  for (const atom of unit.atoms) {
    note(atom, atom.references);
    for (const entry of atom.entries) note(atom, entry.references);
  }
  return users;
}

/** `f` for `f`, `f.part.0` and `f.isra.1.cold`. */
function familyOf(atom: Atom): string {
  const dot = atom.name.indexOf('.');
  return dot > 0 ? atom.name.slice(0, dot) : atom.name;
}

/** Of some atoms those that each family of functions uses. */
function byFamily(
  atoms: readonly Atom[],
  users: ReadonlyMap<Atom, ReadonlySet<Atom>>,
): Map<string, readonly Atom[]> {
  const families = new Map<string, Atom[]>();
  for (const atom of atoms) {
    const names = new Set([...(users.get(atom) ?? [])].filter(user => user.name !== '').map(familyOf));
    for (const name of names) {
      const list = families.get(name);
      if (list === undefined) families.set(name, [atom]);
      else list.push(atom);
    }
  }
  return families;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string | undefined): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    if (key === undefined) continue;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
