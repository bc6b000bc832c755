/**
 * What a line number may have done.
 *
 * `diff-objects` has no source, so it cannot hold line numbers equal as a build does. It calls a function changed that differs by
 * nothing else than where `__LINE__` ends up, and says so: in an immediate that goes to a register of an argument
 * (`warn_slowpath_null(file, line)`), in the line of a `__bug_table` entry or of a pr_debug() descriptor, or in a message that
 * quotes its own place.
 */
import type { Architecture } from '@kstitch/arch/architecture';
import { type Instructions, instructionAt } from '@kstitch/arch/instructions';
import { effectiveEntries, type Sameness } from './sameness.ts';
import type { Atom, Entry, Reference } from './unit/atom.ts';

/**
 * @param before - a function that differs from `after`
 * @returns whether each difference is where a line number may stand
 */
export function mayBeLineNumber(before: Atom, after: Atom, sameness: Sameness, arch: Architecture): boolean {
  if (before.size !== after.size || before.entry !== after.entry) return false;
  const views = sameness.views(before, after);
  const theirs = effectiveEntries(before.entries);
  const ours = effectiveEntries(after.entries);
  return (
    sameButForLines(views.before.bytes, views.after.bytes, () => arch.decode(after.bytes)) &&
    sameReferencesButForLines(views.before.references, views.after.references, sameness) &&
    theirs.length === ours.length &&
    theirs.every((entry, i) => sameEntryButForLines(entry, ours[i] as Entry, sameness))
  );
}

/** `mov $line, %esi` and its like, as an offset of the immediate from the start of the instruction; else -1. */
function argumentImmediate(code: Uint8Array, start: number): number {
  const opcode = code[start];
  // %esi, %edx, %ecx; with a REX prefix %r8d, %r9d
  if (opcode === 0xbe || opcode === 0xba || opcode === 0xb9) return 1;
  return opcode === 0x41 && (code[start + 1] === 0xb8 || code[start + 1] === 0xb9) ? 2 : -1;
}

/** Longest source files of the kernel have some 30,000 lines; generated ones more. */
const maxLine = 1_000_000;

function sameButForLines(before: Uint8Array, after: Uint8Array, decode: () => Instructions): boolean {
  if (Buffer.compare(before, after) === 0) return true;
  const code = decode();
  for (let offset = 0; offset < after.length; offset += 1) {
    if (before[offset] === after[offset]) continue;
    const index = instructionAt(code, offset);
    const start = code.starts[index] ?? 0;
    const immediate = argumentImmediate(after, start);
    const field = start + immediate;
    const isLine =
      immediate > 0 &&
      offset >= field &&
      code.lengths[index] === immediate + 4 &&
      [before, after].every(bytes => isLineNumber(bytes, field));
    if (!isLine) return false;
    offset = field + 3;
  }
  return true;
}

function isLineNumber(bytes: Uint8Array, field: number): boolean {
  const value = new DataView(bytes.buffer, bytes.byteOffset + field, 4).getUint32(0, true);
  return value > 0 && value <= maxLine;
}

/** Of struct _ddebug: 18 bits behind four pointers. */
const descriptorLine = { offset: 32, bits: 18 } as const;

function sameReferencesButForLines(
  before: readonly Reference[],
  after: readonly Reference[],
  sameness: Sameness,
): boolean {
  if (before.length !== after.length) return false;
  return before.every((reference, i) => {
    if (sameness.sameReferenceAt(before, after, i)) return true;
    const other = after[i] as Reference;
    return (
      reference.offset === other.offset &&
      reference.target.offset === other.target.offset &&
      reference.target.kind === 'atom' &&
      other.target.kind === 'atom' &&
      sameAtomButForLine(reference.target.atom, other.target.atom, sameness)
    );
  });
}

function sameAtomButForLine(before: Atom, after: Atom, sameness: Sameness): boolean {
  if (before.kind === 'string' && after.kind === 'string')
    return textWithoutLines(before) === textWithoutLines(after);
  if (!isDescriptor(before) || !isDescriptor(after) || before.size !== after.size) return false;
  return (
    before.references.length === after.references.length &&
    before.references.every((_, i) => sameness.sameReferenceAt(before.references, after.references, i)) &&
    before.bytes.every((byte, i) => (byte & ~lineMask(i)) === ((after.bytes[i] ?? 0) & ~lineMask(i)))
  );
}

/** include/linux/fortify-string.h: `field "vec" at net/xfrm/xfrm_policy.c:2334`. */
function textWithoutLines({ bytes }: Atom): string {
  return Buffer.from(bytes)
    .toString('latin1')
    .replace(/(\.[chS]:)\d+/g, '$1');
}

function isDescriptor(atom: Atom): boolean {
  return atom.kind === 'object' && (atom.section.name === '__dyndbg' || atom.section.name === '__verbose');
}

function lineMask(offset: number): number {
  const bits = descriptorLine.bits - (offset - descriptorLine.offset) * 8;
  return offset < descriptorLine.offset || bits <= 0 ? 0 : bits >= 8 ? 0xff : (1 << bits) - 1;
}

function sameEntryButForLines(before: Entry, after: Entry, sameness: Sameness): boolean {
  if (sameness.sameEntry(before, after)) return true;
  const { section, bytes, references } = after;
  // The line stands behind the file, 16 bits before the flags, which come last (struct bug_entry).
  const line = section.name === '__bug_table' && bytes.length >= 12 ? bytes.length - 4 : bytes.length;
  return (
    before.section.name === section.name &&
    before.ownerOffset === after.ownerOffset &&
    before.bytes.length === bytes.length &&
    before.bytes.every((byte, i) => byte === bytes[i] || i === line || i === line + 1) &&
    // The static key of a pr_debug() lies in its descriptor.
    sameReferencesButForLines(before.references, references, sameness)
  );
}
