import type { Architecture } from '@kstitch/arch/architecture';
import type { ElfFile } from '@kstitch/elf/model';
import type { Atom, Unit } from './unit/atom.ts';
import { gatherRelocations } from './unit/gather-relocations.ts';
import { patchablePadding } from './unit/symbol-extents.ts';

/**
 * Which functions of an object ftrace can redirect: by what the compiler recorded (`__mcount_loc`), by the call at the entry
 * (also where recordmcount or objtool made a NOP of it: its relocation is left, as R_X86_64_NONE), or, in objects that have
 * neither, by `__patchable_function_entries`. With -fpatchable-function-entry=16,16 those are padding and no sites: that
 * option is for call thunks, and functions that may not be traced have it too.
 */
export class FtraceSitesOfUnit {
  readonly #arch: Architecture;
  readonly #patchable: ReadonlyMap<number, ReadonlySet<number>> | undefined;

  /** @param unit - cut from `file` */
  constructor(file: ElfFile, unit: Unit, arch: Architecture) {
    this.#arch = arch;
    const hasCalls = unit.atoms.some(atom => atom.kind === 'function' && this.#hasCall(atom));
    this.#patchable = hasCalls ? undefined : patchablePadding(file, gatherRelocations(file));
  }

  has(atom: Atom): boolean {
    if (this.#patchable === undefined) return this.#hasCall(atom);
    const starts = this.#patchable.get(atom.section.index) ?? new Set();
    return [...starts].some(
      start => start >= atom.offset && start <= atom.offset + atom.entry + maxEntryBytes,
    );
  }

  #hasCall(atom: Atom): boolean {
    return (
      atom.entries.some(entry => entry.section.name === '__mcount_loc') ||
      atom.references.some(
        ({ offset, target }) =>
          target.kind === 'external' &&
          (target.name === this.#arch.ftraceSymbol || target.name === 'mcount') &&
          offset <= atom.entry + maxEntryBytes,
      )
    );
  }
}

/** `endbr64`, the frame of gcc without -mfentry, and the opcode of the call. Bytes. */
const maxEntryBytes = 16;
