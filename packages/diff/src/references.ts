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
 *   new function or object of another unit of the same  the copy that this unit brings
 *   object and the same livepatch
 *   kstitch_patch                                       the livepatch's own, from its wrapper
 *   symbol of another unit, new here                    the running kernel's if its name is unique, else refused
 *
 * "The running kernel's" is an ordinary undefined symbol where vmlinux exports it, else a klp relocation with the sympos
 * that the shipped symbol table gives.
 */
import { type Diagnostic, diagnostic, type Place } from '@kstitch/report/diagnostic';
import type { Address, ShippedObject } from './run-pre/shipped-object.ts';

/** A symbol of the running kernel. */
export type KernelReference =
  /** Bound by the module loader through the export table. */
  | { readonly kind: 'export'; readonly name: string }
  /** Bound by the livepatch core: `.klp.sym.<object>.<name>,<sympos>`. */
  | { readonly kind: 'klp'; readonly object: string; readonly name: string; readonly sympos: number };

/** What the running kernel offers to a livepatch of one object. */
export interface KernelSymbols {
  /** The object that the unit is part of. */
  readonly shipped: ShippedObject;
  readonly vmlinux: ShippedObject;
  /** @returns the object that exports the name, `vmlinux` or a module (Module.symvers) */
  readonly exporterOf: (name: string) => string | undefined;
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
  if (global && symbols.exporterOf(name) === vmlinux) return { kind: 'export', name };
  if (shipped.isInit(address)) {
    return diagnostic('init-memory-reference', place, `refers to '${name}', which was freed after boot`);
  }
  const sympos = symposOf(shipped, name, address);
  if (sympos === undefined) {
    return diagnostic(
      'symbol-unresolved',
      place,
      `the symbol table of the shipped ${shipped.name} has no '${name}' at its place`,
    );
  }
  return { kind: 'klp', object: shipped.name, name, sympos };
}

/**
 * A symbol that no site of the shipped object places: another object's export, or one that the unit did not use before.
 *
 * A static symbol is none of this unit's, unless the patch publishes it. A module's export is taken only where the patched module depends on that module already: elsewhere it may not be
 * loaded when the relocation is applied.
 */
export function referenceByName(
  symbols: KernelSymbols,
  name: string,
  place: Place,
  published = false,
): KernelReference | Diagnostic {
  const { shipped } = symbols;
  const exporter = symbols.exporterOf(name);
  if (exporter === vmlinux) return { kind: 'export', name };
  if (exporter !== undefined && dependsOn(symbols, exporter))
    return { kind: 'klp', object: exporter, name, sympos: 0 };
  for (const object of new Set([shipped, symbols.vmlinux])) {
    const addresses = object.named(name);
    const [address] = addresses;
    if (address === undefined) continue;
    if (!published && !object.isGlobal(name, address)) {
      const text = `'${name}' is a static symbol of another unit of the shipped ${object.name}`;
      return diagnostic('symbol-unresolved', place, text);
    }
    if (addresses.length === 1)
      return referenceAt({ ...symbols, shipped: object }, name, address, false, place);
    const text = `'${name}' is ${addresses.length} symbols of the shipped ${object.name}, and this unit did not use it before`;
    return diagnostic('symbol-unresolved', place, text);
  }
  return diagnostic('symbol-unresolved', place, `the shipped ${shipped.name} has no symbol '${name}'`);
}

export const vmlinux = 'vmlinux';

/** @returns whether the patched module has a symbol of the other one already, and so cannot be loaded without it */
function dependsOn({ shipped, exporterOf }: KernelSymbols, module: string): boolean {
  for (const name of shipped.imports) if (exporterOf(name) === module) return true;
  return false;
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
