import type { RelocationKind } from '@kstitch/arch/architecture';

/**
 * An address of the shipped kernel, sign-extended from 64 bits: the kernel lives in the top 2 GiB and per-CPU symbols at
 * the bottom, so every address is a safe integer this way and differences are plain subtraction. In a module, which has
 * no addresses yet, each section is given a range of its own.
 */
export type Address = number;

/** What a relocated field of the shipped object refers to: S + A in the terms of the ELF specification. */
export type Pointed =
  | { readonly kind: 'address'; readonly address: Address }
  /** A symbol that the shipped module leaves undefined, and an addend. */
  | { readonly kind: 'symbol'; readonly name: string; readonly addend: number };

export interface ShippedSymbol {
  readonly name: string;
  readonly address: Address;
}

/** The kernel or a module as the distribution ships it: what is running, byte for byte. */
export interface ShippedObject {
  /** `vmlinux` or the module's name. */
  readonly name: string;
  /** @returns where symbols of this name are, in the order that the kernel counts them (sympos 1 first) */
  named(name: string): readonly Address[];
  /** @returns every name at exactly this address */
  namesAt(address: Address): readonly string[];
  /** @returns symbols with `start` < address < `end`, ascending */
  strictlyBetween(start: Address, end: Address): readonly ShippedSymbol[];
  /** @returns the bytes there, or undefined where the object has none (`.bss`, outside of every section) */
  read(address: Address, length: number): Uint8Array | undefined;
  /**
   * @param address - of a relocation field
   * @returns what the field refers to, or undefined where nothing was relocated
   */
  pointedTo(address: Address, kind: RelocationKind): Pointed | undefined;
  /** Symbols that it leaves undefined, for other objects' exports to bind; none of vmlinux. */
  readonly imports: ReadonlySet<string>;
  /** @returns whether the memory there is given back after boot or after the module's init */
  isInit(address: Address): boolean;
  /** @returns whether the symbol of that name at that address is visible outside of its unit */
  isGlobal(name: string, address: Address): boolean;
  /** @returns whether the symbol of that name at that address would give way to another unit's */
  isWeak(name: string, address: Address): boolean;
  /** @returns whether code is there */
  isFunction(address: Address): boolean;
  /**
   * @returns whether a function there may be called through a pointer. Where CET is enforced (CONFIG_X86_KERNEL_IBT) it must
   *   begin with a landing pad, and not be one whose address nobody took: the kernel overwrites the pads of those at boot
   */
  isIndirectTarget(address: Address): boolean;
  /** @returns whether `mcount_loc` lists a site in [start, end) */
  hasFtraceSite(start: Address, end: Address): boolean;
}
