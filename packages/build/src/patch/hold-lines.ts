import { findChangeBlocks, splitLines } from './change-blocks.ts';
import { readSourceLines } from './source-lines.ts';

export interface HeldLines {
  /** The text after the change, with `#line` directives in it. */
  readonly text: string;
  /** How many directives. */
  readonly directives: number;
  /** Unchanged lines of the text after the change, from 1, that could not keep their number, ends included. */
  readonly moved: readonly { readonly from: number; readonly to: number }[];
}

/**
 * Lets every unchanged line keep the number it had before the change, so that `__LINE__` (in WARN, BUG, lockdep classes, static
 * variables of some macros) is the same in code that the patch does not touch, and any difference between the compiled
 * functions is one that the patch makes.
 *
 * Below a change that adds or takes away lines, a `#line` directive goes above the first line where one is harmless; the lines
 * up to there are shifted, and counted as `moved`. A directive in a branch of `#if` that is not taken has no effect, so it is
 * said again at each further branch and below the `#endif`.
 *
 * @param before - one character a byte, as the file is in the kernel's source
 * @param after - the file with the patch applied
 */
export function holdLines(before: string, after: string): HeldLines {
  const afterLines = splitLines(after);
  const numbers = originalNumbers(splitLines(before), afterLines);
  const lines = readSourceLines(afterLines);

  const text: string[] = [];
  const moved: { from: number; to: number }[] = [];
  let directives = 0;
  /** What the compiler counts for the line at hand. */
  let counted = 1;
  /** Depth of conditionals here, and the depth up to which the compiler may not have seen the last directive. */
  let depth = 0;
  let unsure = 0;
  let again = false;
  for (const [index, content] of afterLines.entries()) {
    const original = numbers[index];
    const line = lines[index];
    if (original !== undefined && (original !== counted || again)) {
      if (line?.open === true) {
        text.push(`#line ${original}\n`);
        directives++;
        counted = original;
        unsure = depth;
        again = false;
      } else if (original !== counted) {
        const last = moved.at(-1);
        if (last?.to === index) last.to = index + 1;
        else moved.push({ from: index + 1, to: index + 1 });
      }
    }
    text.push(content);
    counted++;
    if (line?.conditional === 'if') depth++;
    else if (line?.conditional !== undefined) {
      if (unsure > 0 && depth <= unsure) again = true;
      if (line.conditional === 'endif') {
        depth = Math.max(0, depth - 1);
        unsure = Math.min(unsure, depth);
      }
    }
  }
  return { text: text.join(''), directives, moved };
}

/** The number each line had before; undefined for new ones. */
function originalNumbers(
  before: readonly string[],
  after: readonly string[],
): readonly (number | undefined)[] {
  const numbers: (number | undefined)[] = [];
  let original = 1;
  for (const block of findChangeBlocks(before, after)) {
    while (numbers.length < block.afterStart - 1) numbers.push(original++);
    for (let added = 0; added < block.afterCount; added++) numbers.push(undefined);
    original += block.beforeCount;
  }
  while (numbers.length < after.length) numbers.push(original++);
  return numbers;
}
