/**
 * The kernel that the livepatch is for, as livepatch will search it: the symbols of vmlinux in the order of their
 * addresses, those of a module in the order of its symbol table (kernel/livepatch/core.c: klp_find_callback()).
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { fileError } from '@kstitch/host/files';
import { type ObjectText, readSectionText, type TextSection } from './object-text.ts';
import { fieldSize, isRelative } from './relocation-types.ts';

export interface ShippedSymbol {
  /** Of a module: the section's index and the offset in it, which is as good for telling places apart. */
  readonly address: bigint;
  readonly isGlobal: boolean;
}

/** One object of the running kernel. */
export interface Shipped {
  readonly name: string;
  /** @returns symbols of that name in the order in which livepatch counts them */
  named(name: string): readonly ShippedSymbol[];
  /** @returns undefined where the file holds none */
  bytes(address: bigint, size: number): Buffer | undefined;
  /**
   * @param type - of the relocation that the compiled unit has there
   * @returns what symbol and addend of the relocation came to; undefined where the object does not say
   */
  pointee(address: bigint, type: string): bigint | undefined;
  close(): void;
}

/** A line of `/proc/kallsyms`. */
export interface KernelSymbolLine {
  readonly address: bigint;
  /** `T`, `t` …: upper case for what other units can refer to. */
  readonly type: string;
}

/** @param named - all lines of `/proc/kallsyms` with that name, in any order */
export async function openVmlinux(
  path: string,
  named: (name: string) => Iterable<KernelSymbolLine>,
  signal: AbortSignal,
): Promise<Shipped> {
  const sections = (await readSectionText(path, signal)).filter(
    section => section.flags.includes('A') && section.type !== 'NOBITS' && section.address !== 0n,
  );
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw fileError(`read '${path}'`, error);
  }
  const bytes = (address: bigint, size: number): Buffer | undefined => {
    const section = sectionAround(sections, address, size);
    if (section === undefined) return undefined;
    const buffer = Buffer.alloc(size);
    const got = readSync(file, buffer, 0, size, section.fileOffset + Number(address - section.address));
    return got === size ? buffer : undefined;
  };
  return {
    name: 'vmlinux',
    named: name =>
      [...named(name)]
        .map(({ address, type }) => ({ address, isGlobal: type !== type.toLowerCase() || type === 'w' }))
        .sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0)),
    bytes,
    pointee: (address, type) => pointee(bytes, address, type),
    close: () => closeSync(file),
  };
}

/** Bits of an address that hold the offset in a section of a module. */
const sectionShift = 40n;

/** @param name - as `/proc/modules` shows it */
export function shippedModule(name: string, object: ObjectText): Shipped {
  const symbols = new Map<string, ShippedSymbol[]>();
  for (const { name: symbol, place, value, bind, type } of object.symbols) {
    if (typeof place !== 'number' || type === 'SECTION' || type === 'FILE') continue;
    const entry = { address: addressIn(place, value), isGlobal: bind !== 'LOCAL' };
    const namesakes = symbols.get(symbol);
    if (namesakes === undefined) symbols.set(symbol, [entry]);
    else namesakes.push(entry);
  }
  const bytes = (address: bigint, size: number): Buffer | undefined => {
    const section = object.sections[Number(address >> sectionShift)];
    const offset = Number(address & ((1n << sectionShift) - 1n));
    return section === undefined || offset + size > section.size
      ? undefined
      : object.bytes(section, offset, size);
  };
  return {
    name,
    named: each => symbols.get(each) ?? [],
    bytes,
    pointee: (address, type) => {
      const section = Number(address >> sectionShift);
      const offset = Number(address & ((1n << sectionShift) - 1n));
      const [relocation] = object.relocationsIn(section, offset, 1);
      // A call within a section needs no relocation: the assembler has filled it in.
      if (relocation === undefined) return pointee(bytes, address, type);
      const { symbol, addend } = relocation;
      return typeof symbol.place === 'number' && relocation.type === type
        ? addressIn(symbol.place, symbol.value) + BigInt(addend)
        : undefined;
    },
    close: () => {},
  };
}

function addressIn(section: number, offset: number): bigint {
  return (BigInt(section) << sectionShift) + BigInt(offset);
}

function sectionAround(
  sections: readonly TextSection[],
  address: bigint,
  size: number,
): TextSection | undefined {
  return sections.find(
    section => address >= section.address && address + BigInt(size) <= section.address + BigInt(section.size),
  );
}

function pointee(
  bytes: (address: bigint, size: number) => Buffer | undefined,
  address: bigint,
  type: string,
): bigint | undefined {
  const size = fieldSize(type);
  const field = bytes(address, size);
  if (field === undefined) return undefined;
  if (type === 'R_X86_64_32') return BigInt(field.readUInt32LE());
  const value = size === 8 ? field.readBigInt64LE() : BigInt(field.readInt32LE());
  return BigInt.asUintN(64, isRelative(type) ? value + address : value);
}
