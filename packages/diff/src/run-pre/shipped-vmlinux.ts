import type { RelocationKind } from '@kstitch/arch/architecture';
import type { FtraceSites } from '@kstitch/kernel/ftrace-sites';
import type { KernelSymbol } from '@kstitch/kernel/kallsyms';
import type { KernelImage } from '@kstitch/kernel/kernel-image';
import type { Address, Pointed, ShippedObject, ShippedSymbol } from './shipped-object.ts';

/** Names and addresses of an image: kallsyms of a shipped kernel. Same-named symbols come in ascending order. */
export interface SymbolTable {
  named(name: string): readonly NamedAddress[];
  at(address: bigint): readonly NamedAddress[];
  /** @returns symbols with `start` <= address < `end`, ascending */
  between(start: bigint, end: bigint): readonly NamedAddress[];
}

type NamedAddress = Pick<KernelSymbol, 'name' | 'address'>;

/** The shipped vmlinux: relocated already, so a field is read back by doing the relocation's sum the other way. */
export class ShippedVmlinux implements ShippedObject {
  readonly name = 'vmlinux';
  readonly #image: KernelImage;
  readonly #symbols: SymbolTable;
  readonly #ftraceSites: FtraceSites;
  readonly #initStart: Address;
  readonly #initEnd: Address;

  constructor(image: KernelImage, symbols: SymbolTable, ftraceSites: FtraceSites) {
    this.#image = image;
    this.#symbols = symbols;
    this.#ftraceSites = ftraceSites;
    // include/asm-generic/vmlinux.lds.h: everything between the two is freed by free_initmem().
    this.#initStart = this.named('__init_begin')[0] ?? 0;
    this.#initEnd = this.named('__init_end')[0] ?? 0;
  }

  named(name: string): readonly Address[] {
    return this.#symbols.named(name).map(symbol => signed(symbol.address));
  }

  namesAt(address: Address): readonly string[] {
    return this.#symbols.at(unsigned(address)).map(symbol => symbol.name);
  }

  strictlyBetween(start: Address, end: Address): readonly ShippedSymbol[] {
    if (end - start < 2) return [];
    return Array.from(this.#symbols.between(unsigned(start + 1), unsigned(end)), symbol => ({
      name: symbol.name,
      address: signed(symbol.address),
    }));
  }

  read(address: Address, length: number): Uint8Array | undefined {
    return this.#image.read(unsigned(address), length);
  }

  pointedTo(address: Address, kind: RelocationKind): Pointed | undefined {
    const bytes = this.read(address, kind.size);
    if (bytes === undefined || kind.size === 0) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const value =
      kind.size === 8
        ? Number(view.getBigInt64(0, true))
        : kind.signed
          ? view.getInt32(0, true)
          : view.getUint32(0, true);
    return { kind: 'address', address: kind.pcRelative ? address + value : value };
  }

  imports(): boolean {
    return false;
  }

  isInit(address: Address): boolean {
    return address >= this.#initStart && address < this.#initEnd;
  }

  hasFtraceSite(start: Address, end: Address): boolean {
    const site = this.#ftraceSites.firstFrom(unsigned(start));
    return site !== undefined && site < unsigned(end);
  }
}

function signed(address: bigint): Address {
  return Number(BigInt.asIntN(64, address));
}

function unsigned(address: Address): bigint {
  return BigInt.asUintN(64, BigInt(address));
}
