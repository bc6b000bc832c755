/** The bytes of a kernel, found by the address they have when the kernel runs where it was linked (no KASLR). */
import { ET, hasFlag, SHF } from '@kstitch/elf/constants';
import type { ElfFile, Section } from '@kstitch/elf/model';
import { KstitchError } from '@kstitch/report/error';

export class KernelImage {
  readonly elf: ElfFile;
  /** The sections that have addresses, ascending. Per-CPU data stands first, from address 0. */
  readonly sections: readonly Section[];
  readonly #starts: BigUint64Array;
  readonly #ends: BigUint64Array;
  readonly #views: readonly DataView[];
  readonly #little: boolean;
  /** Where the last lookup ended: neighbouring addresses are asked for in a row. */
  #last = 0;

  /**
   * @param elf - the ELF file out of a vmlinuz
   * @throws KstitchError - `kernel-image` when it is no executable or has no section with an address
   */
  constructor(elf: ElfFile) {
    if (elf.header.e_type !== ET.EXEC) throw notImage(elf, `e_type is ${elf.header.e_type}, not ET_EXEC (2)`);
    this.elf = elf;
    this.sections = elf.sections
      .filter(section => hasFlag(section.sh_flags, SHF.ALLOC) && section.sh_size > 0)
      .toSorted((a, b) => (a.sh_addr < b.sh_addr ? -1 : a.sh_addr > b.sh_addr ? 1 : a.index - b.index));
    if (this.sections.length === 0) throw notImage(elf, 'no section has an address');
    this.#starts = BigUint64Array.from(this.sections, section => section.sh_addr);
    this.#ends = BigUint64Array.from(this.sections, section => section.sh_addr + BigInt(section.sh_size));
    this.#views = this.sections.map(
      ({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    );
    this.#little = elf.header.byteOrder === 'little';
  }

  get littleEndian(): boolean {
    return this.#little;
  }

  /** @returns the section that the address lies in, `SHT_NOBITS` included */
  sectionAt(address: bigint): Section | undefined {
    return this.sections[this.#indexAt(address)];
  }

  sectionNamed(name: string): Section | undefined {
    return this.sections.find(section => section.name === name);
  }

  /**
   * @param length - in bytes
   * @returns a view of these bytes as they are in the file; undefined when they are not all in one section, or have
   *   no contents in the file
   */
  read(address: bigint, length: number): Uint8Array | undefined {
    const index = this.#indexAt(address);
    const at = this.#offset(index, address, length);
    return at < 0 ? undefined : this.sections[index]?.bytes.subarray(at, at + length);
  }

  readU8(address: bigint): number | undefined {
    const index = this.#indexAt(address);
    const at = this.#offset(index, address, 1);
    return at < 0 ? undefined : this.#views[index]?.getUint8(at);
  }

  readU16(address: bigint): number | undefined {
    const index = this.#indexAt(address);
    const at = this.#offset(index, address, 2);
    return at < 0 ? undefined : this.#views[index]?.getUint16(at, this.#little);
  }

  readU32(address: bigint): number | undefined {
    const index = this.#indexAt(address);
    const at = this.#offset(index, address, 4);
    return at < 0 ? undefined : this.#views[index]?.getUint32(at, this.#little);
  }

  readI32(address: bigint): number | undefined {
    const index = this.#indexAt(address);
    const at = this.#offset(index, address, 4);
    return at < 0 ? undefined : this.#views[index]?.getInt32(at, this.#little);
  }

  readU64(address: bigint): bigint | undefined {
    const index = this.#indexAt(address);
    const at = this.#offset(index, address, 8);
    return at < 0 ? undefined : this.#views[index]?.getBigUint64(at, this.#little);
  }

  /** @returns the index of the section that the address lies in, or -1 */
  #indexAt(address: bigint): number {
    if (this.#covers(this.#last, address)) return this.#last;
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] ?? 0n) <= address) low = middle + 1;
      else high = middle;
    }
    if (low === 0 || !this.#covers(low - 1, address)) return -1;
    this.#last = low - 1;
    return this.#last;
  }

  #covers(index: number, address: bigint): boolean {
    return address >= (this.#starts[index] ?? 0n) && address < (this.#ends[index] ?? 0n);
  }

  /** @returns the offset in the section's contents where `length` bytes can be read, or -1 */
  #offset(index: number, address: bigint, length: number): number {
    const section = this.sections[index];
    if (section === undefined || length < 0) return -1;
    const at = Number(address - section.sh_addr);
    // A SHT_NOBITS section has addresses but no contents.
    return at + length <= section.bytes.length ? at : -1;
  }
}

function notImage(elf: ElfFile, problem: string): KstitchError {
  return new KstitchError('kernel-image', `cannot use '${elf.what}' as a kernel image: ${problem}`);
}
