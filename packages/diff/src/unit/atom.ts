import { hasFlag, SHF } from '@kstitch/elf/constants';
import type { ElfSymbol, Section } from '@kstitch/elf/model';
import type { CallbackKind } from '@kstitch/kernel/klp-callbacks';

/**
 * The smallest run of bytes that has a meaning of its own: a function, an object, a string, a constant, the replacement
 * of an alternative. Everything the differ does is done to atoms: place, correlate, compare, select, extract.
 */
export interface Atom {
  /** Position in {@link Unit.atoms}. */
  readonly id: number;
  readonly kind: 'function' | 'object' | 'string' | 'constant' | 'chunk';
  /** The symbol's name; empty for strings, constants, chunks and anonymous objects. */
  readonly name: string;
  /** Other symbols at the same place. */
  readonly aliases: readonly string[];
  readonly symbol: ElfSymbol | undefined;
  readonly section: Section;
  /** The source file of a local symbol, where the object was linked from several. */
  readonly file?: string | undefined;
  /** Where it begins in its section, in bytes; a function begins with its patchable padding. */
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
  /** Where the symbol stands behind `offset`: 16 for a function with patchable padding, else 0. */
  readonly entry: number;
  /** Empty where the section has no contents (`.bss`). */
  readonly bytes: Uint8Array;
  /** In ascending order of their offsets. */
  readonly references: readonly Reference[];
  /** Special-section entries that belong to this function, in section order. */
  readonly entries: readonly Entry[];
  /** Freed after boot or after the module's init. */
  readonly init: boolean;
  /** Belongs to a table of which the shipped kernel's copy stays valid. */
  readonly kept: KeptTable | undefined;
}

export interface KeptTable {
  /** For messages: `an exported symbol`. */
  readonly what: string;
  /** Nothing that runs misses a change of it. */
  readonly harmless: boolean;
}

/** A relocation in an atom or an entry, its target named. */
export interface Reference {
  /** Of the field, in bytes from the start of the atom or entry. */
  readonly offset: number;
  /** Relocation type of the architecture. */
  readonly type: number;
  /**
   * Bytes from the field to the address that the processor counts from (end of the instruction); 0 outside code. The
   * addend that was read is `target.offset - bias`.
   */
  readonly bias: number;
  readonly target: Target;
}

export type Target =
  /** `offset` bytes behind the start of an atom of this unit (it may lie outside of it). */
  | {
      readonly kind: 'atom';
      readonly atom: Atom;
      readonly offset: number;
      /** The static object that ends where `atom` begins, where the assembler left no sign of which is meant. */
      readonly orEndOf?: Atom;
    }
  /** `offset` bytes behind a symbol that another unit defines. */
  | { readonly kind: 'external'; readonly name: string; readonly weak: boolean; readonly offset: number };

/** One entry of a special section. */
export interface Entry {
  readonly section: Section;
  /** In its section, in bytes. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** Where in its owner the entry points to, in bytes from the owner's start. */
  readonly ownerOffset: number;
  readonly references: readonly Reference[];
}

/** A compiled unit, cut into atoms. */
export interface Unit {
  /** Path of the source below the kernel tree: `fs/ext4/mballoc.c`. */
  readonly name: string;
  readonly atoms: readonly Atom[];
  /** Every symbol of the object, labels within functions included. */
  readonly symbolNames: ReadonlySet<string>;
  /** Atoms that a section without a rule refers to, and that section's name. */
  readonly namedByUnknown: ReadonlyMap<Atom, string>;
  readonly requests: Requests;
  /** Static objects that macros make for one place in the code (special-statics.ts). */
  readonly specialStatics: ReadonlySet<Atom>;
  /** Code and data that no symbol names and nothing here refers to. */
  readonly unreached: readonly Atom[];
  /** Of global symbols that lie in no section what they are: an absolute value, a size. */
  readonly placeless: ReadonlyMap<string, string>;
  /** Functions that can only lie where they do: of each, where it branches to a neighbour with a distance of one byte. */
  readonly shortBranches: ReadonlyMap<Atom, number>;
}

/** What the author of a patch asks of the livepatch with kstitch.h. */
export interface Requests {
  readonly callbacks: readonly RequestedCallback[];
  readonly states: readonly RequestedState[];
}

export interface RequestedCallback {
  readonly kind: CallbackKind;
  /** What it names, wherever that is. */
  readonly target: Target;
}

export interface RequestedState {
  readonly id: number;
  readonly version: number;
}

export function isReadOnly(atom: Atom): boolean {
  return !hasFlag(atom.section.sh_flags, SHF.WRITE);
}

/**
 * @param atoms - of one section, ascending by offset
 * @returns the position of the last that begins at the offset or before it, or of the first
 */
export function indexAround(atoms: readonly Atom[], offset: number): number {
  let low = 0;
  let high = atoms.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((atoms[middle] as Atom).offset <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
