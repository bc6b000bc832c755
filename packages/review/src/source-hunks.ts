import { type ChangedText, SourceText, splitLines } from './source-text.ts';

/** Changed lines with what stands around them. */
export interface SourceHunk {
  /** First line on each side, from 1. */
  readonly before: number;
  readonly after: number;
  readonly lines: readonly SourceLine[];
  /** The functions that changed lines of the hunk are in. */
  readonly functions: readonly string[];
}

export interface SourceLine {
  readonly kind: 'context' | 'remove' | 'add';
  /** Number on its own side: of a removed line that before, of others that after the patch. */
  readonly line: number;
  /** Without its newline. */
  readonly text: string;
}

/** Lines around a change. */
const around = 3;

/** @returns the difference of a file, changes near each other in one hunk */
export function readHunks(file: ChangedText): readonly SourceHunk[] {
  const before = splitLines(file.before ?? '');
  const after = splitLines(file.after ?? '');
  const texts = {
    before: new SourceText(file.path, 'before', file.before ?? '', []),
    after: new SourceText(file.path, 'after', file.after ?? '', []),
  };
  const hunks: SourceHunk[] = [];
  let lines: SourceLine[] = [];
  let functions = new Set<string>();
  let start = { before: 1, after: 1 };
  /** The first line behind the last change. */
  let end = { before: 1, after: 1 };
  const context = (from: number, count: number): SourceLine[] =>
    Array.from({ length: Math.max(0, Math.min(count, after.length - from + 1)) }, (_, i) => ({
      kind: 'context' as const,
      line: from + i,
      text: chomp(after[from + i - 1]),
    }));
  const close = () => {
    if (lines.length === 0) return;
    hunks.push({ ...start, lines: [...lines, ...context(end.after, around)], functions: [...functions] });
    lines = [];
    functions = new Set();
  };
  for (const block of file.blocks) {
    const gap = block.afterStart - end.after;
    if (lines.length > 0 && gap <= 2 * around) lines.push(...context(end.after, gap));
    else {
      close();
      const room = Math.min(around, hunks.length === 0 ? block.afterStart - 1 : gap);
      start = { before: block.beforeStart - room, after: block.afterStart - room };
      lines.push(...context(block.afterStart - room, room));
    }
    for (let i = 0; i < block.beforeCount; i++) {
      const line = block.beforeStart + i;
      lines.push({ kind: 'remove', line, text: chomp(before[line - 1]) });
      for (const name of texts.before.functionAt(line)?.names ?? []) functions.add(name);
    }
    for (let i = 0; i < block.afterCount; i++) {
      const line = block.afterStart + i;
      lines.push({ kind: 'add', line, text: chomp(after[line - 1]) });
      for (const name of texts.after.functionAt(line)?.names ?? []) functions.add(name);
    }
    end = {
      before: block.beforeStart + block.beforeCount,
      after: block.afterStart + block.afterCount,
    };
  }
  close();
  return hunks;
}

/** @param line - one character a byte; nearly all of the kernel is UTF-8 */
function chomp(line: string | undefined): string {
  return Buffer.from((line ?? '').replace(/\r?\n$/, ''), 'latin1').toString('utf8');
}
