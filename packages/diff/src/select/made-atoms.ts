/** Parts of a livepatch that stand in no unit. */
import { SHF, SHT } from '@kstitch/elf/constants';
import type { Section } from '@kstitch/elf/model';
import type { Atom, Entry } from '../unit/atom.ts';

/** A `struct static_key` that nothing switches on: 16 zero bytes on every 64-bit kernel with jump labels. */
export function makeNeverKey(id: number): Atom {
  const bytes = new Uint8Array(16);
  return {
    id,
    kind: 'object',
    name: 'kstitch_never',
    file: '',
    aliases: [],
    symbol: undefined,
    section: madeSection('.data.kstitch_never', SHF.ALLOC | SHF.WRITE, 8, bytes),
    offset: 0,
    size: bytes.length,
    entry: 0,
    bytes,
    references: [],
    entries: [],
    init: false,
    kept: undefined,
  };
}

/** Where include/linux/compiler.h: annotate_unreachable() tells objtool that nothing follows. */
export const unreachableSection = '.discard.unreachable';

/**
 * @param relocation - type of a 32-bit distance
 * @param atom - a function
 * @param end - behind a call in it that does not return, in bytes from its start
 * @returns the entry that tells objtool so
 */
export function makeDeadEnd(relocation: number, atom: Atom, end: number): Entry {
  const bytes = new Uint8Array(4);
  const target = { kind: 'atom', atom, offset: end } as const;
  return {
    section: madeSection(unreachableSection, 0, 1, bytes),
    offset: 0,
    bytes,
    ownerOffset: end,
    references: [{ offset: 0, type: relocation, bias: 0, target }],
  };
}

function madeSection(name: string, flags: number, alignment: number, bytes: Uint8Array): Section {
  return {
    index: -1,
    name,
    sh_type: SHT.PROGBITS,
    sh_flags: flags,
    sh_addr: 0n,
    sh_offset: 0,
    sh_size: bytes.length,
    sh_link: 0,
    sh_info: 0,
    sh_addralign: alignment,
    sh_entsize: 0,
    bytes,
  };
}
