/**
 * Explain: the first place where a function differs, disassembled on both sides with its relocations.
 */

import type { Architecture } from '@kstitch/arch/architecture';
import { type DisassembledInstruction, disassemble } from '@kstitch/arch/disassemble';
import { KstitchError } from '@kstitch/report/error';
import type { ComparedObjects } from './diff-objects.ts';
import { type FirstDifference, firstDifference } from './first-difference.ts';
import type { Atom, Entry, Reference, Target } from './unit/atom.ts';
import { coldParentOf } from './unit/names.ts';

export interface Explanation {
  /** As asked for. */
  readonly function: string;
  readonly verdict: 'changed' | 'new' | 'same' | 'removed';
  /** One sentence without a full stop: what differs, and where. */
  readonly summary: string;
  /** Byte offset in the function, from its first instruction; undefined where nothing differs. */
  readonly offset: number | undefined;
  readonly before: readonly ExplainedLine[];
  readonly after: readonly ExplainedLine[];
}

/** An instruction, or a relocation of the one before. */
export interface ExplainedLine {
  readonly offset: number;
  readonly text: string;
  readonly kind: 'instruction' | 'relocation';
  /** The difference is here. */
  readonly differs: boolean;
}

export type ExplainedObjects = Omit<ComparedObjects, 'difference'>;

/** Instructions shown before and behind the one that differs. */
const context = { before: 4, after: 6 } as const;

/**
 * @param name - of a function, as either object has it
 * @throws KstitchError - `function-not-in-objects`
 */
export function explain(objects: ExplainedObjects, name: string): Explanation {
  const { comparison, correlation } = objects;
  const after = functionNamed(objects.after.atoms, name);
  const before = (after && correlation.beforeOf.get(after)) ?? functionNamed(objects.before.atoms, name);
  const twin = before && correlation.afterOf.get(before);
  const atom = after ?? twin;
  if (atom === undefined && before === undefined) {
    throw new KstitchError(
      'function-not-in-objects',
      `neither '${objects.before.name}' nor '${objects.after.name}' has a function '${name}'`,
    );
  }
  const nothing = { function: name, offset: undefined, before: [], after: [] };
  if (atom === undefined)
    return { ...nothing, verdict: 'removed', summary: `${name}() is in the before-object only` };
  if (before === undefined || twin === undefined)
    return { ...nothing, verdict: 'new', summary: `${name}() is new` };

  for (const [theirs, ours] of [[before, atom] as const, ...coldParts(objects, atom)]) {
    if (comparison.sameness.same(theirs, ours)) continue;
    const difference = firstDifference(theirs, ours, comparison.sameness);
    if (difference === undefined) continue;
    const part = ours === atom ? '' : `in ${ours.name}: `;
    return {
      function: name,
      verdict: 'changed',
      summary: `${part}${summaryOf(difference, theirs, ours)}`,
      offset: Math.max(0, difference.offset - ours.entry),
      before: linesAround(theirs, difference.offset, objects.arch),
      after: linesAround(ours, difference.offset, objects.arch),
    };
  }
  return { ...nothing, verdict: 'same', summary: `${name}() is the same in both` };
}

function functionNamed(atoms: readonly Atom[], name: string): Atom | undefined {
  const functions = atoms.filter(atom => atom.kind === 'function');
  return functions.find(atom => atom.name === name) ?? functions.find(atom => atom.aliases.includes(name));
}

function coldParts({ after, correlation }: ExplainedObjects, parent: Atom): (readonly [Atom, Atom])[] {
  return after.atoms.flatMap(atom => {
    if (atom.kind !== 'function' || coldParentOf(atom.name) !== parent.name) return [];
    const before = correlation.beforeOf.get(atom);
    return before === undefined ? [] : [[before, atom] as const];
  });
}

function summaryOf(difference: FirstDifference, before: Atom, after: Atom): string {
  const at = `+0x${Math.max(0, difference.offset - after.entry).toString(16)}`;
  switch (difference.kind) {
    case 'code': {
      const sizes = before.size === after.size ? '' : `, ${before.size} bytes before, ${after.size} after`;
      return `the code differs at ${at}${sizes}`;
    }
    case 'padding':
      return `${before.entry} bytes of padding before, ${after.entry} after`;
    case 'reference':
      return `the reference at ${at} differs: ${referenceText(difference.before)} before, ${referenceText(difference.after)} after`;
    case 'entry':
      return `the code is the same, its ${difference.section} entry for ${at} differs: ${entryText(difference.before)} before, ${entryText(difference.after)} after`;
  }
}

function referenceText(reference: Reference | undefined): string {
  return reference === undefined ? 'none' : describeTarget(reference.target);
}

function entryText(entry: Entry | undefined): string {
  if (entry === undefined) return 'none';
  const bytes = Buffer.from(entry.bytes)
    .toString('hex')
    .replace(/..(?=.)/g, '$& ');
  const to = entry.references.slice(1).map(({ target }) => describeTarget(target));
  return `${bytes}${to.length === 0 ? '' : ` to ${to.join(', ')}`}`;
}

/** @returns a relocation's target as a reader knows it: `kfree`, `foo+0x10`, `"message %d\n"` */
function describeTarget(target: Target): string {
  const { offset } = target;
  const plus = offset === 0 ? '' : offset > 0 ? `+0x${offset.toString(16)}` : `-0x${(-offset).toString(16)}`;
  if (target.kind === 'external') return `${target.name}${plus}`;
  const { atom } = target;
  if (atom.name !== '') {
    const inside = offset - atom.entry;
    return inside === 0
      ? atom.name
      : `${atom.name}${inside > 0 ? '+' : '-'}0x${Math.abs(inside).toString(16)}`;
  }
  switch (atom.kind) {
    case 'string':
      return `${JSON.stringify(Buffer.from(atom.bytes.subarray(0, -1)).toString('latin1').slice(0, maxText))}${plus}`;
    case 'constant':
      return `0x${Buffer.from(atom.bytes).reverse().toString('hex')}${plus}`;
    default:
      return `${atom.section.name}+0x${(atom.offset + offset).toString(16)}`;
  }
}

/** Characters of a string that are shown. */
const maxText = 80;

/** @returns all of a function's code, its padding left out */
export function listing(atom: Atom, arch: Architecture): ExplainedLine[] {
  return disassemble(atom.bytes.subarray(atom.entry)).flatMap(instruction =>
    linesOf(atom, instruction, false, arch),
  );
}

function linesAround(atom: Atom, offset: number, arch: Architecture): ExplainedLine[] {
  const code = disassemble(atom.bytes.subarray(atom.entry));
  const place = Math.max(0, offset - atom.entry);
  const found = code.findIndex(instruction => instruction.offset + instruction.length > place);
  const middle = found < 0 ? code.length : found;
  return code
    .slice(Math.max(0, middle - context.before), middle + context.after + 1)
    .flatMap(instruction => linesOf(atom, instruction, instruction === code[middle], arch));
}

function linesOf(
  atom: Atom,
  instruction: DisassembledInstruction,
  differs: boolean,
  arch: Architecture,
): ExplainedLine[] {
  const start = instruction.offset;
  const relocations = atom.references
    .filter(reference => {
      const at = reference.offset - atom.entry;
      return at >= start && at < start + instruction.length;
    })
    .map(
      (reference): ExplainedLine => ({
        offset: reference.offset - atom.entry,
        text: `${arch.relocation(reference.type)?.name ?? `type ${reference.type}`} ${describeTarget(reference.target)}`,
        kind: 'relocation',
        differs,
      }),
    );
  return [{ offset: start, text: instruction.text, kind: 'instruction', differs }, ...relocations];
}
