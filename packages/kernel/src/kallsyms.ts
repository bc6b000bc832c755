/**
 * kallsyms: every symbol of a kernel, read out of the image's bytes.
 *
 * Debian strips vmlinux and ships an empty System.map, but the kernel carries its own table for stack traces and for
 * resolving livepatches' symbols. Reading that same table gives the same answers as the kernel will, down to the
 * position by which a livepatch tells symbols of one name apart.
 *
 * 100,000 names are kept as one run of bytes with a hash table over it; strings are made for those asked for.
 */
import { latin1 } from '@kstitch/elf/byte-reader';
import { KstitchError } from '@kstitch/report/error';
import { findKallsymsTables, type KallsymsTables } from './kallsyms-tables.ts';
import type { KernelImage } from './kernel-image.ts';
import { limits } from './limits.ts';

/** One line of `/proc/kallsyms`. */
export interface KernelSymbol {
  /** Position in the table, which is sorted by address. Identifies the symbol. */
  readonly index: number;
  readonly name: string;
  /** As `nm` prints it: `T` for global code, `t` for local, `A` absolute (here per-CPU) … */
  readonly type: string;
  /** Where the kernel was linked to run; for a per-CPU variable the offset in the per-CPU area. */
  readonly address: bigint;
}

/**
 * @throws KstitchError - `kernel-kallsyms` when the image has none, or damaged ones
 */
export function readKallsyms(image: KernelImage): Kallsyms {
  const isKernelAddress = (address: bigint) =>
    isKernelHalf(address) && image.sectionAt(address) !== undefined;

  // They are in .rodata; the other sections are looked through for kernels that link them elsewhere.
  const candidates = image.sections.toSorted(
    (a, b) => Number(b.name === '.rodata') - Number(a.name === '.rodata'),
  );
  for (const section of candidates) {
    const tables = findKallsymsTables(section.bytes, image.littleEndian, isKernelAddress);
    if (tables === undefined) continue;
    // Beyond this point the tables agree with each other in count, order and extent.
    const addresses = decodeAddresses(tables);
    const names = expandNames(tables, image.elf.what);
    return new Kallsyms(addresses, names);
  }
  throw new KstitchError(
    'kernel-kallsyms',
    `cannot find kallsyms in '${image.elf.what}': no section holds a kallsyms token table with names and addresses that fit it`,
  );
}

/**
 * CONFIG_KALLSYMS_BASE_RELATIVE with CONFIG_KALLSYMS_ABSOLUTE_PERCPU (x86 to 6.14): an offset from 0 is a per-CPU
 * address as it is, a negative one counts down from one below the base. Without the latter all offsets are unsigned
 * and count up from the base; no kernel is so large that one would look negative.
 * (kernel/kallsyms.c, `kallsyms_sym_address`.)
 */
function decodeAddresses({ offsets, relativeBase }: KallsymsTables): BigUint64Array {
  const absolutePercpu = offsets.some(offset => offset < 0);
  const addresses = new BigUint64Array(offsets.length);
  for (let index = 0; index < offsets.length; index++) {
    const offset = offsets[index] ?? 0;
    if (!absolutePercpu) addresses[index] = relativeBase + BigInt(offset);
    else addresses[index] = offset >= 0 ? BigInt(offset) : relativeBase + BigInt(-1 - offset);
  }
  return addresses;
}

export interface Names {
  /** All names one after the other, without anything between. */
  readonly text: Uint8Array;
  /** Where each begins; one more entry for the end. */
  readonly starts: Uint32Array;
  /** The type letters as character codes. */
  readonly types: Uint8Array;
}

function expandNames({ count, names, tokenIndex, tokenText }: KallsymsTables, what: string): Names {
  const lengths = Uint16Array.from(tokenIndex, start => tokenText.indexOf(0, start) - start);
  const starts = new Uint32Array(count + 1);
  const types = new Uint8Array(count);

  // First how long they get, then the names themselves.
  let total = 0;
  for (let at = 0; at < names.length; ) {
    const { begin, end } = entryAt(names, at);
    let length = 0;
    for (let token = begin; token < end; token++) length += lengths[names[token] ?? 0] ?? 0;
    if (length < 1 || length > limits.kallsymsName) {
      throw damaged(what, `the name at byte ${at} of kallsyms_names has ${length} characters`);
    }
    total += length;
    at = end;
  }
  if (total > limits.kallsymsText) throw damaged(what, `all names together have ${total} characters`);

  const text = new Uint8Array(total - count);
  let to = 0;
  let at = 0;
  for (let index = 0; index < count; index++) {
    const { begin, end } = entryAt(names, at);
    starts[index] = to;
    let typeSeen = false;
    for (let token = begin; token < end; token++) {
      const code = names[token] ?? 0;
      let from = tokenIndex[code] ?? 0;
      const stop = from + (lengths[code] ?? 0);
      // The type is the first character of the first token that is not empty.
      if (!typeSeen && from < stop) {
        types[index] = tokenText[from++] ?? 0;
        typeSeen = true;
      }
      while (from < stop) text[to++] = tokenText[from++] ?? 0;
    }
    at = end;
  }
  starts[count] = to;
  return { text, starts, types };
}

/** @returns names and types as {@link Kallsyms} keeps them */
export function packNames(symbols: readonly Pick<KernelSymbol, 'name' | 'type'>[]): Names {
  const starts = new Uint32Array(symbols.length + 1);
  for (const [index, { name }] of symbols.entries()) starts[index + 1] = (starts[index] ?? 0) + name.length;
  return {
    text: Buffer.from(symbols.map(({ name }) => name).join(''), 'latin1'),
    starts,
    types: Uint8Array.from(symbols, ({ type }) => type.charCodeAt(0)),
  };
}

/** The tokens of the entry at `at`; its length is ULEB128 of at most two bytes ("big" symbols, since 6.1). */
function entryAt(names: Uint8Array, at: number): { begin: number; end: number } {
  const low = names[at] ?? 0;
  if (low < 0x80) return { begin: at + 1, end: at + 1 + low };
  return { begin: at + 2, end: at + 2 + ((low & 0x7f) | ((names[at + 1] ?? 0) << 7)) };
}

export class Kallsyms {
  readonly #addresses: BigUint64Array;
  readonly #names: Names;
  /** Hash of a name → its first index + 1, 0 for none; a power of two of them. */
  readonly #buckets: Int32Array;
  /** Index → the next index + 1 in the same bucket, ascending. */
  readonly #next: Int32Array;

  /** Use {@link readKallsyms}, or `readSymtab` of symtab-symbols.ts. */
  constructor(addresses: BigUint64Array, names: Names) {
    this.#addresses = addresses;
    this.#names = names;
    this.#buckets = new Int32Array(2 ** Math.ceil(Math.log2(Math.max(2, addresses.length))));
    this.#next = new Int32Array(addresses.length);
    const mask = this.#buckets.length - 1;
    for (let index = addresses.length - 1; index >= 0; index--) {
      const bucket = this.#hashAt(index) & mask;
      this.#next[index] = this.#buckets[bucket] ?? 0;
      this.#buckets[bucket] = index + 1;
    }
  }

  get count(): number {
    return this.#addresses.length;
  }

  /** In the order of the table and of `/proc/kallsyms`: ascending addresses, per-CPU variables first. */
  *[Symbol.iterator](): Generator<KernelSymbol> {
    for (let index = 0; index < this.count; index++) yield this.#symbol(index);
  }

  /**
   * @returns all symbols of that name, functions and data alike, in ascending order: the one at `i` has the position
   *   (`sympos`) `i + 1` (kernel/livepatch/core.c, `klp_find_object_symbol`)
   */
  named(name: string): readonly KernelSymbol[] {
    return this.#indexesNamed(name).map(index => this.#symbol(index, name));
  }

  /** @returns all symbols at exactly that address, in the order of the table */
  at(address: bigint): readonly KernelSymbol[] {
    const found: KernelSymbol[] = [];
    for (let index = this.#lowerBound(address); this.#addresses[index] === address; index++) {
      found.push(this.#symbol(index));
    }
    return found;
  }

  /** @returns all symbols from `start` on and before `end` */
  between(start: bigint, end: bigint): readonly KernelSymbol[] {
    const found: KernelSymbol[] = [];
    const stop = this.#lowerBound(end);
    for (let index = this.#lowerBound(start); index < stop; index++) found.push(this.#symbol(index));
    return found;
  }

  /**
   * @returns the symbol whose extent the address lies in; of several with one address the first, as in the kernel's
   *   stack traces
   */
  covering(address: bigint): KernelSymbol | undefined {
    const after = this.#lowerBound(address + 1n);
    const start = this.#addresses[after - 1];
    if (start === undefined) return undefined;
    const symbol = this.#symbol(this.#lowerBound(start));
    return address === start || address < start + this.extentOf(symbol) ? symbol : undefined;
  }

  /**
   * @returns bytes from the symbol to the next one with another address: what the kernel takes for its size; 0 for the
   *   last symbol, and for the last per-CPU variable, behind which nothing begins
   */
  extentOf({ address }: KernelSymbol): bigint {
    const next = this.#addresses[this.#lowerBound(address + 1n)];
    if (next === undefined || isKernelHalf(next) !== isKernelHalf(address)) return 0n;
    return next - address;
  }

  /** @returns the symbol's position among those of its name (`sympos`), from 1 */
  positionOf(symbol: KernelSymbol): number {
    const position = this.#indexesNamed(symbol.name).indexOf(symbol.index);
    if (position < 0) throw new RangeError(`symbol ${symbol.index} '${symbol.name}' is not of this kernel`);
    return position + 1;
  }

  #indexesNamed(name: string): number[] {
    let hash = hashStart;
    for (let i = 0; i < name.length; i++) hash = hashStep(hash, name.charCodeAt(i));
    const found: number[] = [];
    let entry = this.#buckets[hash & (this.#buckets.length - 1)] ?? 0;
    while (entry !== 0) {
      const index = entry - 1;
      if (this.#isNamed(index, name)) found.push(index);
      entry = this.#next[index] ?? 0;
    }
    return found;
  }

  /** @returns the first index whose address is not below `address` */
  #lowerBound(address: bigint): number {
    let low = 0;
    let high = this.#addresses.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#addresses[middle] ?? 0n) < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Without a string for every symbol that is looked at: a unit asks for thousands of names. */
  #isNamed(index: number, name: string): boolean {
    const { text, starts } = this.#names;
    const start = starts[index] ?? 0;
    if ((starts[index + 1] ?? 0) - start !== name.length) return false;
    for (let i = 0; i < name.length; i++) if (text[start + i] !== name.charCodeAt(i)) return false;
    return true;
  }

  #symbol(index: number, name = latin1(this.#nameBytes(index))): KernelSymbol {
    return {
      index,
      name,
      type: String.fromCharCode(this.#names.types[index] ?? 0),
      address: this.#addresses[index] ?? 0n,
    };
  }

  #nameBytes(index: number): Uint8Array {
    return this.#names.text.subarray(this.#names.starts[index], this.#names.starts[index + 1]);
  }

  #hashAt(index: number): number {
    const { text, starts } = this.#names;
    const end = starts[index + 1] ?? 0;
    let hash = hashStart;
    for (let at = starts[index] ?? 0; at < end; at++) hash = hashStep(hash, text[at] ?? 0);
    return hash;
  }
}

/** FNV-1a, 32 bits. */
const hashStart = 0x811c9dc5;

function hashStep(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, 0x01000193);
}

/** Per-CPU offsets and kernel addresses are two spaces: nothing reaches from the one into the other. */
function isKernelHalf(address: bigint): boolean {
  return address >= 1n << 63n;
}

function damaged(what: string, problem: string): KstitchError {
  return new KstitchError('kernel-kallsyms', `cannot read kallsyms of '${what}': ${problem}`);
}
