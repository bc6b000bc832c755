import type { RelocationKind } from '@kstitch/arch/architecture';
import { x86_64 } from '@kstitch/arch/x86-64';
import { hasFlag, SHF } from '@kstitch/elf/constants';
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

/** `type` as nm prints it: upper case for symbols visible outside of their unit. */
type NamedAddress = Pick<KernelSymbol, 'name' | 'address' | 'type'>;

/** The shipped vmlinux: relocated already, so a field is read back by doing the relocation's sum the other way. */
export class ShippedVmlinux implements ShippedObject {
  readonly name = 'vmlinux';
  readonly imports: ReadonlySet<string> = new Set();
  readonly #image: KernelImage;
  readonly #symbols: SymbolTable;
  readonly #ftraceSites: FtraceSites;
  #sealed: ReadonlySet<Address> | undefined;
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

  isInit(address: Address): boolean {
    return address >= this.#initStart && address < this.#initEnd;
  }

  isGlobal(name: string, address: Address): boolean {
    return /[A-Zw]/.test(this.#typeOf(name, address));
  }

  isWeak(name: string, address: Address): boolean {
    return /[VvWw]/.test(this.#typeOf(name, address));
  }

  /** @returns the letter of kallsyms; empty when there is no such symbol */
  #typeOf(name: string, address: Address): string {
    return this.#symbols.named(name).find(each => signed(each.address) === address)?.type ?? '';
  }

  isFunction(address: Address): boolean {
    const section = this.#image.sectionAt(unsigned(address));
    return section !== undefined && hasFlag(section.sh_flags, SHF.EXECINSTR);
  }

  isIndirectTarget(address: Address): boolean {
    this.#sealed ??= this.#readSealed();
    return (
      this.#sealed.size === 0 || (!this.#sealed.has(address) && beginsWithLandingPad(this.read(address, 4)))
    );
  }

  /** `.ibt_endbr_seal`: 32-bit distances from each field to a function (arch/x86/kernel/alternative.c: apply_seal_endbr()). */
  #readSealed(): ReadonlySet<Address> {
    const [start] = this.named('__ibt_endbr_seal');
    const [end] = this.named('__ibt_endbr_seal_end');
    const bytes = start === undefined || end === undefined ? undefined : this.read(start, end - start);
    if (start === undefined || bytes === undefined) return new Set();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return new Set(
      Array.from({ length: bytes.length >> 2 }, (_, i) => start + 4 * i + view.getInt32(4 * i, true)),
    );
  }

  hasFtraceSite(start: Address, end: Address): boolean {
    const site = this.#ftraceSites.firstFrom(unsigned(start));
    return site !== undefined && site < unsigned(end);
  }
}

/** endbr64 */
export function beginsWithLandingPad(bytes: Uint8Array | undefined): boolean {
  return bytes !== undefined && x86_64.landingPad.every((byte, i) => bytes[i] === byte);
}

function signed(address: bigint): Address {
  return Number(BigInt.asIntN(64, address));
}

function unsigned(address: Address): bigint {
  return BigInt.asUintN(64, BigInt(address));
}
