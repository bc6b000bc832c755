/**
 * Before-object against as-shipped object: the same source and compiler, once with and once without
 * -ffunction-sections -fdata-sections. The two flags may change how wide a jump is (a tail call to a function in the same
 * section is `eb rel8`, to another section `e9 rel32`: 37 of 20,852 functions in Debian's 6.1) and nothing else. A
 * function that was inlined differently would leave the shipped callers with the old code, so it is refused.
 */
import type { Architecture } from '@kstitch/arch/architecture';
import {
  type Instructions,
  instructionAt,
  instructionStartingAt,
  noTarget,
} from '@kstitch/arch/instructions';
import type { Section } from '@kstitch/elf/model';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import type { Atom, Reference, Target, Unit } from '../unit/atom.ts';

/** For each named atom of the before-unit the same atom of the unit as shipped. */
export type ShippedTwins = ReadonlyMap<Atom, Atom>;

export interface SameCodeResult {
  readonly twins: ShippedTwins;
  /** Functions that differ in the width of jumps. */
  readonly widthOnly: number;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * @param before - compiled with function and data sections
 * @param asShipped - compiled with the kernel's exact flags
 */
export function compareBeforeToShipped(before: Unit, asShipped: Unit, arch: Architecture): SameCodeResult {
  const twins = pairByName(before, asShipped);
  const comparer = new CodeComparer(twins, asShipped, arch);
  const diagnostics: Diagnostic[] = [];
  let widthOnly = 0;
  for (const atom of before.atoms) {
    if (atom.kind !== 'function' || atom.init) continue;
    const twin = twins.get(atom);
    if (twin === undefined) {
      diagnostics.push(
        diagnostic(
          'inlining-differs',
          { unit: before.name, symbol: atom.name },
          `${atom.name}() is a function of its own only when compiled with function sections`,
        ),
      );
      continue;
    }
    const outcome = comparer.compare(atom, twin);
    if (outcome === 'width') widthOnly += 1;
    else if (outcome !== 'equal') {
      diagnostics.push(
        diagnostic(
          'inlining-differs',
          { unit: before.name, symbol: atom.name, offset: outcome.offset },
          `${atom.name}() is compiled differently with function sections`,
        ),
      );
    }
  }
  return { twins, widthOnly, diagnostics };
}

/** Names are numbered alike in both; where one stands several times, the order in the object decides. */
function pairByName(before: Unit, asShipped: Unit): Map<Atom, Atom> {
  const waiting = new Map<string, Atom[]>();
  for (const atom of asShipped.atoms) {
    if (atom.name === '') continue;
    const key = `${atom.kind}:${atom.name}`;
    const list = waiting.get(key);
    if (list === undefined) waiting.set(key, [atom]);
    else list.push(atom);
  }
  const twins = new Map<Atom, Atom>();
  for (const atom of before.atoms) {
    if (atom.name === '') continue;
    const twin = waiting.get(`${atom.kind}:${atom.name}`)?.shift();
    if (twin !== undefined) twins.set(atom, twin);
  }
  return twins;
}

type Outcome = 'equal' | 'width' | { readonly offset: number };

class CodeComparer {
  readonly #twins: ShippedTwins;
  readonly #arch: Architecture;
  /** Functions as shipped by section, for calls that the assembler resolved within it. */
  readonly #neighbours = new Map<Section, Atom[]>();

  constructor(twins: ShippedTwins, asShipped: Unit, arch: Architecture) {
    this.#twins = twins;
    this.#arch = arch;
    for (const atom of asShipped.atoms) {
      if (atom.kind !== 'function') continue;
      const list = this.#neighbours.get(atom.section);
      if (list === undefined) this.#neighbours.set(atom.section, [atom]);
      else list.push(atom);
    }
  }

  compare(before: Atom, shipped: Atom): Outcome {
    if (this.#identical(before, shipped) || this.#equalButForResolved(before, shipped)) return 'equal';
    const a = new CodeCursor(before, this.#arch);
    const b = new CodeCursor(shipped, this.#arch);
    for (let i = 0; i < Math.max(a.code.count, b.code.count); i += 1) {
      if (!a.has(i) || !b.has(i) || a.code.flows[i] !== b.code.flows[i]) return { offset: a.start(i) };
      const same =
        a.isDirect(i) || b.isDirect(i) ? this.#sameBranch(a, b, i) : this.#sameInstruction(a, b, i);
      if (!same) return { offset: a.start(i) };
    }
    return before.size === shipped.size ? 'equal' : 'width';
  }

  #identical(before: Atom, shipped: Atom): boolean {
    return (
      Buffer.compare(before.bytes, shipped.bytes) === 0 &&
      before.references.length === shipped.references.length &&
      before.references.every((reference, i) => {
        const other = shipped.references[i];
        return (
          other !== undefined && reference.offset === other.offset && this.#sameReference(reference, other)
        );
      })
    );
  }

  /**
   * The most common difference: a branch to a function of the same section, which the assembler resolved as shipped. Where all
   * other bytes are equal the instructions are too, and nothing has to be decoded.
   */
  #equalButForResolved(before: Atom, shipped: Atom): boolean {
    if (before.size !== shipped.size) return false;
    let equalUntil = 0;
    let next = 0;
    for (const reference of before.references) {
      const other = shipped.references[next];
      if (other?.offset === reference.offset) {
        if (!this.#sameReference(reference, other)) return false;
        next += 1;
        continue;
      }
      if (!sameBytes(before.bytes, shipped.bytes, equalUntil, reference.offset)) return false;
      if (!this.#isResolved(before, reference, shipped)) return false;
      equalUntil = reference.offset + branchField;
    }
    return (
      next === shipped.references.length && sameBytes(before.bytes, shipped.bytes, equalUntil, before.size)
    );
  }

  /** Whether the code as shipped holds the distance to what a branch before refers to. */
  #isResolved({ bytes }: Atom, { offset, target }: Reference, shipped: Atom): boolean {
    if (target.kind === 'external' || !isWideBranch(bytes, offset)) return false;
    const twin = this.#twins.get(target.atom);
    if (twin?.section !== shipped.section || offset + branchField > shipped.bytes.length) return false;
    const field = new DataView(shipped.bytes.buffer, shipped.bytes.byteOffset + offset, branchField);
    const place = shipped.offset + offset + branchField + field.getInt32(0, true);
    return twin.offset + target.offset === place;
  }

  #sameReference(before: Reference, shipped: Reference): boolean {
    return before.type === shipped.type && this.#sameTarget(before.target, shipped.target);
  }

  #sameTarget(before: Target, shipped: Target): boolean {
    if (before.kind === 'external' || shipped.kind === 'external') {
      return (
        before.kind === 'external' &&
        shipped.kind === 'external' &&
        before.name === shipped.name &&
        before.offset === shipped.offset
      );
    }
    if (before.atom.name === '') {
      return (
        shipped.atom.name === '' &&
        before.offset === shipped.offset &&
        sameButForPadding(before.atom, shipped.atom)
      );
    }
    // Places are compared, not atoms: an empty structure shares its place with whatever the linker put next.
    const twin = this.#twins.get(before.atom);
    return (
      twin !== undefined &&
      twin.section === shipped.atom.section &&
      twin.offset + before.offset === shipped.atom.offset + shipped.offset
    );
  }

  #sameInstruction(a: CodeCursor, b: CodeCursor, i: number): boolean {
    const length = a.code.lengths[i] ?? 0;
    if (length !== b.code.lengths[i]) return false;
    const left = a.atom.bytes.subarray(a.start(i), a.start(i) + length);
    const right = b.atom.bytes.subarray(b.start(i), b.start(i) + length);
    if (Buffer.compare(left, right) !== 0) return false;
    const references = a.references(i);
    const others = b.references(i);
    return (
      references.length === others.length &&
      references.every((reference, k) => {
        const other = others[k];
        return (
          other !== undefined &&
          reference.offset - a.start(i) === other.offset - b.start(i) &&
          this.#sameReference(reference, other)
        );
      })
    );
  }

  /** A branch is the same when its condition is and when it leads to the same place, however wide it is encoded. */
  #sameBranch(a: CodeCursor, b: CodeCursor, i: number): boolean {
    if (a.operation(i) !== b.operation(i)) return false;
    const left = this.#branchTarget(a, i);
    const right = this.#branchTarget(b, i);
    if (left?.kind === 'atom' && right?.kind === 'atom' && left.atom === a.atom && right.atom === b.atom) {
      // Within the function offsets shift with the widths: the same instruction must be meant.
      return instructionStartingAt(a.code, left.offset) === instructionStartingAt(b.code, right.offset);
    }
    return left !== undefined && right !== undefined && this.#sameTarget(left, right);
  }

  /** Where a direct branch leads: its relocation's target, or what the assembler resolved within the section. */
  #branchTarget(cursor: CodeCursor, i: number): Target | undefined {
    const reference = cursor.references(i)[0];
    if (reference !== undefined) return reference.target;
    const { atom } = cursor;
    const offset = cursor.code.targets[i] ?? noTarget;
    if (offset >= 0 && offset < atom.size) return { kind: 'atom', atom, offset };
    const position = atom.offset + offset;
    const neighbour = this.#neighbours
      .get(atom.section)
      ?.find(other => position >= other.offset && position < other.offset + other.size);
    return neighbour && { kind: 'atom', atom: neighbour, offset: position - neighbour.offset };
  }
}

/** A function, decoded, with the relocations of each instruction. */
class CodeCursor {
  readonly atom: Atom;
  readonly code: Instructions;
  readonly #references = new Map<number, Reference[]>();

  constructor(atom: Atom, arch: Architecture) {
    this.atom = atom;
    this.code = arch.decode(atom.bytes);
    for (const reference of atom.references) {
      const index = instructionAt(this.code, reference.offset);
      const list = this.#references.get(index);
      if (list === undefined) this.#references.set(index, [reference]);
      else list.push(reference);
    }
  }

  has(i: number): boolean {
    return i < this.code.count;
  }

  start(i: number): number {
    return this.code.starts[i] ?? this.atom.size;
  }

  isDirect(i: number): boolean {
    return this.code.targets[i] !== noTarget;
  }

  references(i: number): readonly Reference[] {
    return this.#references.get(i) ?? [];
  }

  /** Opcode of a direct branch without its width: `eb` and `e9` give the same, `74` and `0f 84` too. */
  operation(i: number): number {
    let at = this.start(i);
    while (branchPrefixes.has(this.atom.bytes[at] ?? 0)) at += 1;
    const first = this.atom.bytes[at] ?? 0;
    if (first === 0x0f) return 0x70 | ((this.atom.bytes[at + 1] ?? 0) & 0x0f);
    return first === 0xeb ? 0xe9 : first;
  }
}

/** Bytes of the distance in `call`, `jmp` and `jcc`, which it ends. */
const branchField = 4;

/** `e8` and `e9`, `0f 8x`: no other instruction has these before four bytes relative to its end. */
function isWideBranch(bytes: Uint8Array, field: number): boolean {
  const last = bytes[field - 1] ?? 0;
  return last === 0xe8 || last === 0xe9 || ((last & 0xf0) === 0x80 && bytes[field - 2] === 0x0f);
}

function sameBytes(a: Uint8Array, b: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i += 1) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * Whether two nameless objects hold the same. Each reaches to the next symbol of its section, and what follows them there differs
 * (`.rodata` of 6.12's kernel/sys.c: `i686\0\0` alone, or before an array that is aligned to 8): the zeros of an alignment at the
 * end count for nothing.
 */
function sameButForPadding(a: Atom, b: Atom): boolean {
  const [short, long] = a.bytes.length <= b.bytes.length ? [a, b] : [b, a];
  const length = short.bytes.length;
  const padding = long.bytes.subarray(length);
  return (
    sameBytes(a.bytes, b.bytes, 0, length) &&
    padding.length < Math.max(1, long.section.sh_addralign) &&
    padding.every(byte => byte === 0)
  );
}

/** `cs` from -mindirect-branch-cs-prefix, `ds`/`notrack`, operand size, `bnd`. */
const branchPrefixes = new Set([0x2e, 0x3e, 0x66, 0xf2]);
