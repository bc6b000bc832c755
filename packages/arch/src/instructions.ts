/** What an instruction does to the flow of control, as far as comparing code needs to know. */
export const Flow = { next: 0, call: 1, jump: 2, branch: 3, return: 4, other: 5 } as const;
export type Flow = (typeof Flow)[keyof typeof Flow];

/**
 * The instructions of one piece of code, one array a property: a unit has some ten thousand of them and a comparison
 * looks at nearly all.
 */
export interface Instructions {
  readonly count: number;
  /** Offset of each instruction's first byte, ascending. */
  readonly starts: Uint32Array;
  readonly lengths: Uint8Array;
  readonly flows: Uint8Array;
  /** Where a direct branch, jump or call leads, as an offset in the same code; `noTarget` for all others. */
  readonly targets: Int32Array;
}

export const noTarget = -0x8000_0000;

/**
 * @param offset - a byte offset in the code
 * @returns index of the instruction that contains it, or -1
 */
export function instructionAt(instructions: Instructions, offset: number): number {
  let low = 0;
  let high = instructions.count - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const start = instructions.starts[middle] ?? 0;
    if (offset < start) high = middle - 1;
    else if (offset >= start + (instructions.lengths[middle] ?? 0)) low = middle + 1;
    else return middle;
  }
  return -1;
}

/** @returns index of the instruction that begins at `offset`, or -1 */
export function instructionStartingAt(instructions: Instructions, offset: number): number {
  const index = instructionAt(instructions, offset);
  return index >= 0 && instructions.starts[index] === offset ? index : -1;
}
