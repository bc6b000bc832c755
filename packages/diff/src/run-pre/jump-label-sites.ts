import type { Atom } from '../unit/atom.ts';

/**
 * A jump-label site holds a jump or a NOP. The compiler leaves the jump where the branch is likely; objtool
 * (`--hacks=jump_label`) turns every jump into the NOP that the kernel expects to find at boot
 * (arch/x86/kernel/jump_label.c: __jump_label_patch()).
 */
export interface JumpLabelSite {
  /** In bytes from the start of the function. */
  readonly offset: number;
  readonly length: 2 | 5;
}

const nop2 = [0x66, 0x90];
const nop5 = [0x0f, 0x1f, 0x44, 0x00, 0x00];

/** @returns the sites that a function's `__jump_table` entries name, by offset */
export function jumpLabelSites(atom: Atom): ReadonlyMap<number, JumpLabelSite> {
  const sites = new Map<number, JumpLabelSite>();
  for (const entry of atom.entries) {
    if (entry.section.name !== '__jump_table') continue;
    const first = atom.bytes[entry.ownerOffset];
    const length = first === 0xeb || first === nop2[0] ? 2 : 5;
    sites.set(entry.ownerOffset, { offset: entry.ownerOffset, length });
  }
  return sites;
}

/** @returns whether the bytes are the NOP that stands at a jump-label site of that length */
export function isJumpLabelNop(bytes: Uint8Array, offset: number, length: 2 | 5): boolean {
  return (length === 2 ? nop2 : nop5).every((byte, i) => bytes[offset + i] === byte);
}
