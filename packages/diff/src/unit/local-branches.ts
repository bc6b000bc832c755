import type { Architecture } from '@kstitch/arch/architecture';
import { Flow, noTarget } from '@kstitch/arch/instructions';
import { type Atom, indexAround } from './atom.ts';

/** A branch from one function to another of the same section, for which the assembler made no relocation. */
export interface LocalBranch {
  /** Of the distance, in bytes from the start of the function; it ends where the instruction does. */
  readonly field: number;
  /** Bytes of the distance. */
  readonly width: 1 | 4;
  readonly to: Atom;
  /** Where it leads, in bytes behind the start of `to`. */
  readonly offset: number;
}

/**
 * @param neighbours - the functions of the section that `atom` lies in, itself among them, by offset
 * @param isRelocated - whether a relocation writes the field at that offset
 */
export function* findLocalBranches(
  atom: Atom,
  neighbours: readonly Atom[],
  arch: Architecture,
  isRelocated: (field: number) => boolean,
): Iterable<LocalBranch> {
  if (neighbours.length < 2) return;
  const code = arch.decode(atom.bytes);
  for (let i = 0; i < code.count; i += 1) {
    const target = code.targets[i] ?? noTarget;
    const end = (code.starts[i] ?? 0) + (code.lengths[i] ?? 0);
    if (code.flows[i] === Flow.other || target === noTarget || (target >= 0 && target < atom.size)) continue;
    const width = distanceAt(atom.bytes, end, 4) === target - end ? 4 : 1;
    const field = end - width;
    if (isRelocated(field) || distanceAt(atom.bytes, end, width) !== target - end) continue;
    const place = atom.offset + target;
    const to = neighbours[indexAround(neighbours, place)];
    if (to === undefined || place < to.offset || place >= to.offset + to.size) continue;
    yield { field, width, to, offset: place - to.offset };
  }
}

/** @returns the signed number of `width` bytes that ends at `end` */
export function distanceAt(bytes: Uint8Array, end: number, width: 1 | 4): number | undefined {
  if (end < width || end > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + end - width, width);
  return width === 1 ? view.getInt8(0) : view.getInt32(0, true);
}
