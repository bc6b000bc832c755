import { diffArrays } from 'diff';

/** Lines that differ between two texts, with nothing unchanged between them. Lines count from 1. */
export interface ChangeBlock {
  /** First line of the block before; where nothing stood, the line it now stands before. */
  readonly beforeStart: number;
  readonly beforeCount: number;
  readonly afterStart: number;
  readonly afterCount: number;
}

/** @returns the lines of a text, each with its newline; the last one lacks it where the text does */
export function splitLines(text: string): string[] {
  const lines = text.split('\n').map(line => `${line}\n`);
  const last = lines.pop()?.slice(0, -1) ?? '';
  return last === '' ? lines : [...lines, last];
}

/**
 * @param before - lines as {@link splitLines} gives them
 * @param after - likewise
 * @returns the smallest changes that lead from one to the other, in order
 */
export function findChangeBlocks(
  before: readonly string[],
  after: readonly string[],
): readonly ChangeBlock[] {
  const blocks: ChangeBlock[] = [];
  let beforeLine = 1;
  let afterLine = 1;
  let open: { before: number; after: number } | undefined;
  const close = () => {
    if (open === undefined) return;
    blocks.push({
      beforeStart: open.before,
      beforeCount: beforeLine - open.before,
      afterStart: open.after,
      afterCount: afterLine - open.after,
    });
    open = undefined;
  };
  for (const part of diffArrays([...before], [...after])) {
    const { length } = part.value;
    if (part.added || part.removed) {
      open ??= { before: beforeLine, after: afterLine };
      if (part.added) afterLine += length;
      else beforeLine += length;
    } else {
      close();
      beforeLine += length;
      afterLine += length;
    }
  }
  close();
  return blocks;
}
