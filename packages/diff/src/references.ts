/**
 * The one table that decides what a reference from the livepatch means: a copy that the livepatch brings, a symbol that
 * the module loader binds, or a klp relocation to the running kernel.
 *
 *   target                                              becomes
 *   strings, constants, once-flags, private tables      a copy
 *   changed function, called                            the new one
 *   changed function, its address taken                 the old one: ftrace leads to the new one, and the pointer stays
 *                                                       good when the livepatch is gone
 *   new function or object; cold part of a patched one  a copy
 *   function or object of this unit, unchanged          the running kernel's
 *   symbol of another unit that this unit used before   the running kernel's, as the shipped unit resolves it
 *   symbol of another unit, new here                    the running kernel's if its name is unique, else refused
 *
 * "The running kernel's" is an ordinary undefined symbol where vmlinux exports it, else a klp relocation with the sympos
 * that the shipped symbol table gives.
 */
import { type Diagnostic, type Place, diagnostic } from '@kstitch/report/diagnostic';
import type { Address, ShippedObject } from './run-pre/shipped-object.ts';

/** A symbol of the running kernel. */
export type KernelReference =
  /** Bound by the module loader through the export table. */
  | { readonly kind: 'export'; readonly name: string }
  /** Bound by the livepatch core: `.klp.sym.<object>.<name>,<sympos>`. */
  | { readonly kind: 'klp'; readonly object: string; readonly name: string; readonly sympos: number };

/** What the running kernel offers to a livepatch of one object. */
export interface KernelSymbols {
  readonly shipped: ShippedObject;
  /** @returns whether vmlinux exports the name (Module.symvers) */
  isExported(name: string): boolean;
}

/**
 * @param name - the symbol's name in the unit
 * @param address - where the shipped unit has it
 * @param global - whether the name is visible outside of its unit; a static function never stands for an export
 * @param place - of the reference, for the refusal
 */
export function referenceAt(
  symbols: KernelSymbols,
  name: string,
  address: Address,
  global: boolean,
  place: Place,
): KernelReference | Diagnostic {
  const { shipped } = symbols;
  if (global && symbols.isExported(name)) return { kind: 'export', name };
  if (shipped.isInit(address)) {
    return diagnostic('init-memory-reference', place, `refers to '${name}', which was freed after boot`);
  }
  const sympos = symposOf(shipped, name, address);
  if (sympos === undefined) {
    return diagnostic('symbol-unresolved', place, `the symbol table of the shipped ${shipped.name} has no '${name}' at its place`);
  }
  return { kind: 'klp', object: shipped.name, name, sympos };
}

/**
 * A symbol that the unit did not use before: no site of the shipped kernel says where it is.
 */
export function referenceByName(symbols: KernelSymbols, name: string, place: Place): KernelReference | Diagnostic {
  if (symbols.isExported(name)) return { kind: 'export', name };
  const addresses = symbols.shipped.named(name);
  const [address] = addresses;
  if (addresses.length !== 1 || address === undefined) {
    const text =
      addresses.length === 0
        ? `the shipped ${symbols.shipped.name} has no symbol '${name}'`
        : `'${name}' is ${addresses.length} symbols of the shipped ${symbols.shipped.name}, and this unit did not use it before`;
    return diagnostic('symbol-unresolved', place, text);
  }
  return referenceAt(symbols, name, address, false, place);
}

/**
 * @returns 0 where the name is unique, so that the kernel checks that too, else its rank among its namesakes from 1;
 *   undefined where no symbol of the name is at the address
 */
export function symposOf(shipped: ShippedObject, name: string, address: Address): number | undefined {
  const addresses = shipped.named(name);
  const rank = addresses.indexOf(address);
  if (rank < 0) return undefined;
  return addresses.length === 1 ? 0 : rank + 1;
}
