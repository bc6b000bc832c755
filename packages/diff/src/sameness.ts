/**
 * When a function or object before and one after are the same: bytes, relocations and special-section entries are, a
 * relocation's target being the twin of the other's. Objects without an identity of their own (strings, constants,
 * once-flags, what the compiler keeps under a private label) are compared by what they hold, in place.
 *
 * Nearly everything is equal as it stands. What is not may still be the same code, put down differently:
 *   - a branch between two functions of one section has a relocation or a distance, as the assembler liked;
 *   - objtool turns jump-label sites and ftrace sites into NOPs (code-view.ts).
 */
import type { Architecture } from '@kstitch/arch/architecture';
import type { Section } from '@kstitch/elf/model';
import { CodeViews } from './code-view.ts';
import type { Correlation } from './correlate.ts';
import { type Atom, type Entry, isReadOnly, type Reference, type Target, type Unit } from './unit/atom.ts';

export class Sameness {
  /** Tables that every function which refers to one brings anew: whoever refers to them differs. Filled by the caller. */
  readonly replaced = new Set<Atom>();
  readonly #correlation: Correlation;
  readonly #before: CodeViews;
  readonly #after: CodeViews;
  /** By after-atom, then by before-atom: a text may be compared with several. */
  readonly #verdicts = new Map<Atom, Map<Atom, boolean>>();
  /** Pairs held to be the same while what they refer to is looked at. */
  readonly #assumed: (readonly [before: Atom, after: Atom])[] = [];
  /** By the functions of an after-section: those of the before-section that they were last compared with. */
  readonly #neighbourhoods = new Map<
    readonly Atom[],
    { readonly before: readonly Atom[]; readonly same: boolean }
  >();
  #depth = 0;

  constructor(before: Unit, after: Unit, correlation: Correlation, arch: Architecture) {
    this.#correlation = correlation;
    this.#before = new CodeViews(before, arch);
    this.#after = new CodeViews(after, arch);
  }

  same(before: Atom, after: Atom): boolean {
    if (after.kind === 'string' || after.kind === 'constant') return sameBytes(before.bytes, after.bytes);
    let verdicts = this.#verdicts.get(after);
    const known = verdicts?.get(before);
    if (known !== undefined) return known;
    if (verdicts === undefined) {
      verdicts = new Map();
      this.#verdicts.set(after, verdicts);
    }
    // Twins that refer to each other in a circle are the same unless something else tells them apart.
    verdicts.set(before, true);
    const mark = this.#assumed.push([before, after]);
    this.#depth += 1;
    const same = this.#sameAsItStands(before, after) || this.#sameInEffect(before, after);
    this.#depth -= 1;
    if (!same) {
      // What was found the same on the way may rest on this pair being so.
      for (const [b, a] of this.#assumed.splice(mark)) this.#verdicts.get(a)?.delete(b);
      verdicts.set(before, false);
    }
    if (this.#depth === 0) this.#assumed.length = 0;
    return same;
  }

  /** @returns whether references to the atom mean its contents, so that a patched function brings its own copy */
  isCopiedByContent(atom: Atom): boolean {
    switch (atom.kind) {
      case 'string':
      case 'constant':
      case 'chunk':
        return true;
      case 'function':
        return false;
      case 'object':
        if (atom.init || atom.kept !== undefined) return false;
        if (atom.name !== '') return this.#correlation.specialStatics.has(atom);
        return isReadOnly(atom) || hasPrivateLabel(atom);
    }
  }

  /** @returns whether the relocations at one index of the references of twins do the same */
  sameReferenceAt(before: readonly Reference[], after: readonly Reference[], index: number): boolean {
    const theirs = before[index];
    const ours = after[index];
    return (
      theirs !== undefined &&
      ours !== undefined &&
      theirs.offset === ours.offset &&
      theirs.type === ours.type &&
      theirs.bias === ours.bias &&
      (this.sameTarget(theirs.target, ours.target) ||
        (isSanitizerArgument(before, index) && isSanitizerArgument(after, index)))
    );
  }

  /**
   * Where the assembler left open which of two objects is meant, the end of one is meant if the other side says so. Where both
   * leave it open, `&b` that became `&c` would look like the end of the `a` before either: then what begins there is meant.
   */
  sameTarget(before: Target, after: Target): boolean {
    if (this.#sameReading(before, after)) return true;
    const theirs = endReading(before);
    const ours = endReading(after);
    if (theirs === undefined) return ours !== undefined && this.#sameReading(before, ours);
    return ours === undefined && this.#sameReading(theirs, after);
  }

  #sameReading(before: Target, after: Target): boolean {
    if (before.offset !== after.offset) return false;
    if (before.kind === 'external') return after.kind === 'external' && before.name === after.name;
    if (after.kind === 'external') return false;
    if (isSanitizerNote(before.atom) && isSanitizerNote(after.atom)) return true;
    if (this.isCopiedByContent(before.atom) && this.isCopiedByContent(after.atom)) {
      return before.atom.kind === after.atom.kind && this.same(before.atom, after.atom);
    }
    if (isNamelessVariable(before.atom) && isNamelessVariable(after.atom)) {
      return before.atom.section.name === after.atom.section.name && this.same(before.atom, after.atom);
    }
    return this.#correlation.beforeOf.get(after.atom) === before.atom && !this.replaced.has(after.atom);
  }

  sameEntry(before: Entry, after: Entry): boolean {
    return (
      before.section.name === after.section.name &&
      before.ownerOffset === after.ownerOffset &&
      sameBytes(before.bytes, after.bytes) &&
      this.#sameReferences(before.references, after.references)
    );
  }

  /** @returns what the code of two functions looks like where neither objtool nor the assembler has a say in it */
  views(before: Atom, after: Atom) {
    return { before: this.#before.view(before), after: this.#after.view(after) };
  }

  #sameAsItStands(before: Atom, after: Atom): boolean {
    return (
      before.size === after.size &&
      before.entry === after.entry &&
      sameBytes(before.bytes, after.bytes) &&
      this.#sameReferences(before.references, after.references) &&
      this.#sameEntries(before.entries, after.entries) &&
      this.#sameNeighbours(before, after)
    );
  }

  #sameInEffect(before: Atom, after: Atom): boolean {
    if (before.kind !== 'function' || after.kind !== 'function') return false;
    if (before.size !== after.size || before.entry !== after.entry) return false;
    if (!this.#sameEntries(before.entries, after.entries)) return false;
    const views = this.views(before, after);
    return (
      sameBytes(views.before.bytes, views.after.bytes) &&
      this.#sameReferences(views.before.references, views.after.references)
    );
  }

  #sameReferences(before: readonly Reference[], after: readonly Reference[]): boolean {
    if (before.length !== after.length) return false;
    for (let i = 0; i < before.length; i += 1) {
      if (!this.sameReferenceAt(before, after, i)) return false;
    }
    return true;
  }

  #sameEntries(before: readonly Entry[], after: readonly Entry[]): boolean {
    if (before.length === 0 && after.length === 0) return true;
    const theirs = effectiveEntries(before);
    const ours = effectiveEntries(after);
    return (
      theirs.length === ours.length && theirs.every((entry, i) => this.sameEntry(entry, ours[i] as Entry))
    );
  }

  /** Distances that the assembler wrote down mean the same only while the functions between lie as they did. */
  #sameNeighbours(before: Atom, after: Atom): boolean {
    if (before.kind !== 'function') return true;
    const theirs = this.#before.neighbours(before);
    const ours = this.#after.neighbours(after);
    if (theirs.length < 2 && ours.length < 2) return true;
    if (theirs.length !== ours.length) return false;
    // One answer for all functions of a section, of which there may be thousands.
    const known = this.#neighbourhoods.get(ours);
    if (known?.before === theirs) return known.same;
    const same = ours.every((atom, i) => {
      const twin = this.#correlation.beforeOf.get(atom);
      return (
        twin !== undefined && twin === theirs[i] && twin.offset === atom.offset && twin.size === atom.size
      );
    });
    this.#neighbourhoods.set(ours, { before: theirs, same });
    return same;
  }
}

/**
 * Entries that matter at run time: objtool reads `.discard.*`, and makes `__mcount_loc` for some compilers. What it makes of
 * unwind hints is how the kernel walks stacks.
 */
export function effectiveEntries(entries: readonly Entry[]): readonly Entry[] {
  return entries.filter(
    ({ section: { name } }) =>
      name !== '__mcount_loc' && (!name.startsWith('.discard') || name === '.discard.unwind_hints'),
  );
}

function sameBytes(before: Uint8Array, after: Uint8Array): boolean {
  return before.length === after.length && (before.length === 0 || Buffer.compare(before, after) === 0);
}

function endReading(target: Target): Target | undefined {
  if (target.kind !== 'atom' || target.orEndOf === undefined) return undefined;
  return { kind: 'atom', atom: target.orEndOf, offset: target.orEndOf.size };
}

function isNamelessVariable(atom: Atom): boolean {
  return atom.kind === 'object' && atom.name === '';
}

/** `.data..L__unnamed_3`, `.data.rel.local..LC5`: the compiler's own, one a section; C has no names with a dot. */
function hasPrivateLabel(atom: Atom): boolean {
  return isPrivateLabelSection(atom.section);
}

export function isPrivateLabelSection({ name }: Section): boolean {
  return /^\.(data|bss|rodata)(\.rel)?(\.ro)?(\.local)?\.\.L/.test(name);
}

/** File, line and column for a message of the undefined-behaviour sanitizer: `.data..Lubsan_data12`. */
function isSanitizerNote(atom: Atom): boolean {
  return (
    atom.kind === 'object' &&
    atom.name === '' &&
    /^\.(data|rodata)[a-z.]*\.\.?Lubsan_(data|type)/.test(atom.section.name)
  );
}

/** The same from clang, which gives it no name: `mov $.L__unnamed_3, %rdi`, then `call __ubsan_handle_out_of_bounds`. */
function isSanitizerArgument(references: readonly Reference[], index: number): boolean {
  const target = references[index]?.target;
  if (target?.kind !== 'atom' || !isNamelessVariable(target.atom) || !hasSanitizersLabel(target.atom))
    return false;
  const next = references
    .slice(index + 1, index + 1 + maxArguments)
    .find(other => other.target.kind === 'external');
  return next?.target.kind === 'external' && next.target.name.startsWith('__ubsan_handle_');
}

/** The handlers write to the note; `.rodata..L__const.f.table` beside it is the author's. */
function hasSanitizersLabel(atom: Atom): boolean {
  return !isReadOnly(atom) && /^\.data\.\.L__unnamed_\d+$/.test(atom.section.name);
}

/** The handlers take up to three. */
const maxArguments = 3;
