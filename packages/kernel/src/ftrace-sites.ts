/**
 * Where functions can be redirected: the `call __fentry__` that gcc put at the start of each, listed in `__mcount_loc`.
 *
 * With CET (CONFIG_X86_KERNEL_IBT) a function whose address is taken begins with an ENDBR of four bytes and its site is
 * behind that, so a site is looked for near the function's start, not at it.
 */
import type { ElfFile } from '@kstitch/elf/model';
import { readRelocations, relocationSectionsOf } from '@kstitch/elf/relocations';
import { KstitchError } from '@kstitch/report/error';
import type { Kallsyms } from './kallsyms.ts';
import type { KernelImage } from './kernel-image.ts';

const addressSize = 8;

/** The sites of a vmlinux, by address. */
export class FtraceSites {
  readonly #addresses: BigUint64Array;

  constructor(addresses: BigUint64Array) {
    this.#addresses = addresses.toSorted();
  }

  get count(): number {
    return this.#addresses.length;
  }

  /** @returns whether exactly that address is a site */
  has(address: bigint): boolean {
    return this.firstFrom(address) === address;
  }

  /** @returns the first site at or behind the address */
  firstFrom(address: bigint): bigint | undefined {
    let low = 0;
    let high = this.#addresses.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#addresses[middle] ?? 0n) < address) low = middle + 1;
      else high = middle;
    }
    return this.#addresses[low];
  }

  [Symbol.iterator](): IterableIterator<bigint> {
    return this.#addresses.values();
  }
}

/**
 * @returns the sites between `__start_mcount_loc` and `__stop_mcount_loc`, as linked
 * @throws KstitchError - `kernel-ftrace-sites` when there is no such table, or it has no contents in the file or lists
 *   what is no code
 */
export function readFtraceSites(image: KernelImage, kallsyms: Kallsyms): FtraceSites {
  const fail = (problem: string) =>
    new KstitchError(
      'kernel-ftrace-sites',
      `cannot read the ftrace sites of '${image.elf.what}': ${problem}`,
    );
  const boundary = (name: string): bigint => {
    const [symbol] = kallsyms.named(name);
    if (symbol === undefined) throw fail(`kallsyms has no '${name}'`);
    return symbol.address;
  };
  const start = boundary('__start_mcount_loc');
  const size = Number(boundary('__stop_mcount_loc') - start);
  const bytes = size > 0 && size % addressSize === 0 ? image.read(start, size) : undefined;
  if (bytes === undefined) throw fail(`${size} bytes at 0x${start.toString(16)} are no table in the image`);

  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const addresses = BigUint64Array.from({ length: size / addressSize }, (_, index) =>
    view.getBigUint64(index * addressSize, image.littleEndian),
  );
  // An entry may belong to a function that the linker dropped; anything else must be code.
  const strange = addresses.find(address => address !== 0n && image.sectionAt(address) === undefined);
  if (strange !== undefined) throw fail(`the site 0x${strange.toString(16)} is outside of the image`);
  return new FtraceSites(addresses.filter(address => address !== 0n));
}

/** A site in a relocatable file. */
export interface ModuleFtraceSite {
  /** Section header index. */
  readonly section: number;
  /** Bytes from the section's start. */
  readonly offset: number;
}

/**
 * @param elf - a module (.ko) or an object file
 * @returns what its `__mcount_loc` refers to, in the order of the table; empty without such a section
 * @throws KstitchError - `kernel-ftrace-sites` when an entry refers to what is no place in the file
 */
export function moduleFtraceSites(elf: ElfFile): ModuleFtraceSite[] {
  const relocationSections = relocationSectionsOf(elf);
  return elf.sections
    .filter(({ name }) => name === '__mcount_loc')
    .flatMap(({ index }) => relocationSections.get(index) ?? [])
    .flatMap(section => readRelocations(elf, section))
    .map(({ r_offset, r_sym, r_addend }) => {
      const symbol = elf.symbols[r_sym];
      const offset = symbol === undefined ? -1n : symbol.st_value + r_addend;
      if (symbol?.section === undefined || offset < 0n || offset >= BigInt(symbol.section.sh_size)) {
        throw new KstitchError(
          'kernel-ftrace-sites',
          `cannot read the ftrace sites of '${elf.what}': byte ${r_offset} of '__mcount_loc' refers to no place in the file`,
        );
      }
      return { section: symbol.section.index, offset: Number(offset) };
    });
}
