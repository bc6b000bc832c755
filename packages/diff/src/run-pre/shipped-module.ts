import type { RelocationKind } from '@kstitch/arch/architecture';
import { hasFlag, SHF, SHT, STB, STT } from '@kstitch/elf/constants';
import type { ElfFile, Relocation, Section } from '@kstitch/elf/model';
import { readRelocations } from '@kstitch/elf/relocations';
import { moduleFtraceSites } from '@kstitch/kernel/ftrace-sites';
import type { Address, Pointed, ShippedObject, ShippedSymbol } from './shipped-object.ts';
import { beginsWithLandingPad } from './shipped-vmlinux.ts';

/**
 * A shipped module (.ko): a relocatable file, so its sections get ranges of their own and a field refers to what its
 * relocation names. Symbols count in the order of the symbol table (kernel/module/kallsyms.c:
 * module_kallsyms_on_each_symbol()).
 */
export class ShippedModule implements ShippedObject {
  readonly name: string;
  readonly imports = new Set<string>();
  readonly #file: ElfFile;
  readonly #named = new Map<string, Address[]>();
  readonly #ascending: readonly ShippedSymbol[];
  /** STB_* by `name address`. */
  readonly #binds = new Map<string, number>();
  #sealed: ReadonlySet<Address> | undefined;
  readonly #relocations = new Map<number, ReadonlyMap<number, Relocation>>();
  readonly #ftraceSites: readonly Address[];

  /**
   * @param name - as the kernel knows it, with underscores
   */
  constructor(name: string, file: ElfFile) {
    this.name = name;
    this.#file = file;
    const symbols: ShippedSymbol[] = [];
    for (const symbol of file.symbols) {
      if (symbol.name === '' || symbol.type === STT.FILE || symbol.type === STT.SECTION) continue;
      if (symbol.section === undefined) {
        this.imports.add(symbol.name);
        continue;
      }
      const address = addressIn(symbol.section.index, Number(symbol.st_value));
      symbols.push({ name: symbol.name, address });
      this.#binds.set(`${symbol.name} ${address}`, symbol.bind);
      const list = this.#named.get(symbol.name);
      if (list === undefined) this.#named.set(symbol.name, [address]);
      else list.push(address);
    }
    this.#ascending = symbols.sort((a, b) => a.address - b.address);
    for (const section of file.sections) {
      if (section.sh_type !== SHT.RELA || !hasFlag(file.sections[section.sh_info]?.sh_flags ?? 0, SHF.ALLOC))
        continue;
      const byOffset = new Map(
        readRelocations(file, section).map(relocation => [relocation.r_offset, relocation]),
      );
      this.#relocations.set(section.sh_info, byOffset);
    }
    this.#ftraceSites = moduleFtraceSites(file)
      .map(site => addressIn(site.section, site.offset))
      .sort((a, b) => a - b);
  }

  named(name: string): readonly Address[] {
    return this.#named.get(name) ?? [];
  }

  namesAt(address: Address): readonly string[] {
    return this.#between(address, address + 1).map(symbol => symbol.name);
  }

  strictlyBetween(start: Address, end: Address): readonly ShippedSymbol[] {
    return this.#between(start + 1, end);
  }

  read(address: Address, length: number): Uint8Array | undefined {
    const section = this.#sectionAt(address);
    const offset = address % sectionSpan;
    if (section === undefined || offset + length > section.bytes.length) return undefined;
    return section.bytes.subarray(offset, offset + length);
  }

  pointedTo(address: Address, _kind: RelocationKind): Pointed | undefined {
    const relocation = this.#relocations.get(Math.floor(address / sectionSpan))?.get(address % sectionSpan);
    const symbol = relocation && this.#file.symbols[relocation.r_sym];
    if (relocation === undefined || symbol === undefined) return undefined;
    const addend = Number(relocation.r_addend);
    if (symbol.section === undefined) return { kind: 'symbol', name: symbol.name, addend };
    return { kind: 'address', address: addressIn(symbol.section.index, Number(symbol.st_value) + addend) };
  }

  isInit(address: Address): boolean {
    return /^\.(init|exit)/.test(this.#sectionAt(address)?.name ?? '');
  }

  isGlobal(name: string, address: Address): boolean {
    return (this.#binds.get(`${name} ${address}`) ?? STB.LOCAL) !== STB.LOCAL;
  }

  isWeak(name: string, address: Address): boolean {
    return this.#binds.get(`${name} ${address}`) === STB.WEAK;
  }

  isFunction(address: Address): boolean {
    return hasFlag(this.#sectionAt(address)?.sh_flags ?? 0, SHF.EXECINSTR);
  }

  isIndirectTarget(address: Address): boolean {
    this.#sealed ??= this.#readSealed();
    if (this.#sealed === undefined) return true;
    return !this.#sealed.has(address) && beginsWithLandingPad(this.read(address, 4));
  }

  #readSealed(): ReadonlySet<Address> | undefined {
    const section = this.#file.sections.find(({ name }) => name === '.ibt_endbr_seal');
    if (section === undefined) return undefined;
    const sealed = new Set<Address>();
    for (const { r_sym, r_addend } of this.#relocations.get(section.index)?.values() ?? []) {
      const symbol = this.#file.symbols[r_sym];
      if (symbol?.section !== undefined) {
        sealed.add(addressIn(symbol.section.index, Number(symbol.st_value) + Number(r_addend)));
      }
    }
    return sealed;
  }

  hasFtraceSite(start: Address, end: Address): boolean {
    const site = this.#ftraceSites[lowerBound(this.#ftraceSites, start, site => site)];
    return site !== undefined && site < end;
  }

  #sectionAt(address: Address): Section | undefined {
    return this.#file.sections[Math.floor(address / sectionSpan)];
  }

  #between(start: Address, end: Address): ShippedSymbol[] {
    const found: ShippedSymbol[] = [];
    for (let i = lowerBound(this.#ascending, start, symbol => symbol.address); ; i += 1) {
      const symbol = this.#ascending[i];
      if (symbol === undefined || symbol.address >= end) return found;
      found.push(symbol);
    }
  }
}

/** Room for each section, in bytes: more than any has, so that no two addresses meet. */
const sectionSpan = 2 ** 32;

function addressIn(section: number, offset: number): Address {
  return section * sectionSpan + offset;
}

function lowerBound<T>(items: readonly T[], value: number, keyOf: (item: T) => number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keyOf(items[middle] as T) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
