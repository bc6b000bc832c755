/**
 * Where the instructions of a function come from: the chains of inlined functions that the compiler wrote into its debug
 * information, as `addr2line -a -i -f` of binutils prints them.
 */

/** A place in the source and the function that it is part of. */
export interface Frame {
  readonly function: string;
  /** Below the kernel source where it lies there. */
  readonly file: string;
  readonly line: number;
}

/** From the line an instruction is made of outwards; the last frame is the function itself. */
export type Chain = readonly Frame[];

/**
 * @param text - what addr2line printed for all instructions of one function
 * @param root - the folder that the compiler ran in, with which its paths begin
 * @returns each chain once; instructions that have no line are left out
 */
export function parseChains(text: string, root: string): readonly Chain[] {
  const chains = new Map<string, Chain>();
  for (const block of text.split(/^0x[0-9a-f]+\n/m)) {
    const lines = block.split('\n');
    const chain: Frame[] = [];
    for (let at = 0; at + 1 < lines.length; at += 2) {
      const place = /^(.*):(\d+)(?: \(discriminator \d+\))?$/.exec(lines[at + 1] ?? '');
      if (place === null) break;
      chain.push({
        function: lines[at] ?? '',
        file: belowRoot(place[1] ?? '', root),
        line: Number(place[2]),
      });
    }
    if (chain.length > 0) chains.set(JSON.stringify(chain), chain);
  }
  return [...chains.values()];
}

function belowRoot(path: string, root: string): string {
  const below = path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path;
  const parts: string[] = [];
  for (const part of below.split('/')) {
    if (part === '.') continue;
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else parts.push(part);
  }
  return parts.join('/');
}
