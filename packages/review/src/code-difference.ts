/** What differs in the code of a function, disassembled with relocations, as a unified difference. */
import { type ExplainedLine, type ExplainedObjects, explain, listing } from '@kstitch/diff/explain';
import { diffArrays } from 'diff';
import type { UnitChange } from './unit-changes.ts';

export interface CodeDifference {
  /** One sentence without a full stop: what differs first, and where; empty of a new function. */
  readonly summary: string;
  readonly hunks: readonly (readonly CodeLine[])[];
  /** Instructions that only one side has. */
  readonly removed: number;
  readonly added: number;
  /** The code was too different to be shown side by side, or too long. */
  readonly cut: boolean;
}

export interface CodeLine {
  readonly kind: 'context' | 'remove' | 'add';
  /** Byte offset in the function or its part, on its own side. */
  readonly offset: number;
  /** An instruction with its relocation: `call   0x0  # kfree`. */
  readonly text: string;
  /** Of the part that the compiler put aside as unlikely. */
  readonly cold: boolean;
}

/** Instructions around a difference. */
const around = 4;
/** Edits that are looked for; beyond that the alignment would take seconds and tell nobody anything. */
const maxEdits = 1500;
/** Lines that are kept of one function. */
const maxLines = 1500;

export function readCodeDifference(objects: ExplainedObjects, change: UnitChange): CodeDifference {
  const { arch } = objects;
  const side = (atom: UnitChange['before'], cold: boolean) =>
    atom === undefined ? [] : withRelocations(listing(atom, arch), cold);
  const before = [...side(change.before, false), ...side(change.coldBefore, true)];
  const after = [...side(change.after, false), ...side(change.coldAfter, true)];
  const lines = align(before, after);
  const hunks = hunksOf(lines ?? [...marked(before, 'remove'), ...marked(after, 'add')]);
  const kept: (readonly CodeLine[])[] = [];
  let room = maxLines;
  for (const hunk of hunks) {
    if (room <= 0) break;
    kept.push(hunk.slice(0, room));
    room -= hunk.length;
  }
  const count = (kind: CodeLine['kind']) =>
    hunks.reduce((sum, hunk) => sum + hunk.filter(line => line.kind === kind).length, 0);
  return {
    summary: change.before === undefined ? '' : explain(objects, change.after.name).summary,
    hunks: kept,
    removed: count('remove'),
    added: count('add'),
    cut: lines === undefined || room < 0,
  };
}

type PlainLine = Omit<CodeLine, 'kind'>;

function withRelocations(lines: readonly ExplainedLine[], cold: boolean): PlainLine[] {
  const result: { offset: number; text: string; cold: boolean }[] = [];
  for (const { kind, offset, text } of lines) {
    const last = result.at(-1);
    if (kind === 'instruction' || last === undefined) result.push({ offset, text, cold });
    else last.text += `  # ${text.replace(/^R_X86_64_\w+ /, '')}`;
  }
  return result;
}

/** Every insertion moves the targets of jumps: `jne 0x1c` and `jne 0x20` are held to be the same. */
function keyOf({ text, cold }: PlainLine): string {
  return `${cold} ${text.replace(/^(j\w+\s+|call\w*\s+)0x[0-9a-f]+/, '$1')}`;
}

function align(before: readonly PlainLine[], after: readonly PlainLine[]): CodeLine[] | undefined {
  const parts = diffArrays(before.map(keyOf), after.map(keyOf), { maxEditLength: maxEdits });
  if (parts === undefined) return undefined;
  const lines: CodeLine[] = [];
  let theirs = 0;
  let ours = 0;
  for (const { added, removed, value } of parts) {
    if (removed) {
      lines.push(...marked(before.slice(theirs, theirs + value.length), 'remove'));
      theirs += value.length;
    } else {
      const kind = added ? 'add' : 'context';
      lines.push(...marked(after.slice(ours, ours + value.length), kind));
      ours += value.length;
      if (kind === 'context') theirs += value.length;
    }
  }
  return lines;
}

function marked(lines: readonly PlainLine[], kind: CodeLine['kind']): CodeLine[] {
  return lines.map(line => ({ kind, ...line }));
}

function hunksOf(lines: readonly CodeLine[]): (readonly CodeLine[])[] {
  const hunks: CodeLine[][] = [];
  let end = -1;
  for (const [index, line] of lines.entries()) {
    if (line.kind === 'context') continue;
    const from = Math.max(0, index - around, end + 1);
    const last = hunks.at(-1);
    if (last !== undefined && from === end + 1) last.push(...lines.slice(from, index + around + 1));
    else hunks.push(lines.slice(from, index + around + 1));
    end = Math.max(end, Math.min(lines.length - 1, index + around));
  }
  return hunks;
}
