/**
 * Uses of functions in the shipped vmlinux, which has no relocations left.
 *
 * Its code (20 MB) is read once, byte by byte, for four bytes that are the distance to a function or its address; a look
 * into a table of 65,536 bits rules out nearly all. What is left is decoded with the function around it, and counts only
 * where an instruction has these bytes for its operand. Data holds addresses in aligned eight bytes.
 *
 * Memory that is freed after boot is passed over: nothing in it will call again.
 */
import type { Architecture } from '@kstitch/arch/architecture';
import { Flow, type Instructions, instructionAt } from '@kstitch/arch/instructions';
import { hasFlag, SHF } from '@kstitch/elf/constants';
import type { Section } from '@kstitch/elf/model';
import type { KernelSymbol } from '@kstitch/kernel/kallsyms';
import type { KernelImage } from '@kstitch/kernel/kernel-image';
import type { FunctionUse } from './shipped-uses.ts';

type Use = Omit<FunctionUse, 'sites'>;

/** Names by address: kallsyms. */
export interface AddressNames {
  covering(address: bigint): KernelSymbol | undefined;
  extentOf(symbol: KernelSymbol): bigint;
  named(name: string): readonly KernelSymbol[];
}

/**
 * @param targets - addresses of functions
 * @returns for each of them its uses, one entry a site
 */
export function findUsesInVmlinux(
  image: KernelImage,
  names: AddressNames,
  targets: readonly bigint[],
  arch: Architecture,
): ReadonlyMap<bigint, readonly Use[]> {
  return new Finder(image, names, targets, arch).run();
}

/** Of a short jump, in bytes. */
const shortReach = 130;

class Finder {
  readonly #image: KernelImage;
  readonly #names: AddressNames;
  readonly #arch: Architecture;
  readonly #uses: Map<bigint, Use[]>;
  /** The lower halves of the targets, which tell them apart: a kernel has 2 GiB. */
  readonly #low: ReadonlyMap<number, bigint>;
  readonly #mayBe = new Uint8Array(0x10000);
  readonly #decoded = new Map<bigint, { readonly bytes: Uint8Array; readonly code: Instructions }>();

  constructor(image: KernelImage, names: AddressNames, targets: readonly bigint[], arch: Architecture) {
    this.#image = image;
    this.#names = names;
    this.#arch = arch;
    this.#uses = new Map(targets.map(target => [target, []]));
    this.#low = new Map(targets.map(target => [Number(BigInt.asIntN(32, target)), target]));
    for (const low of this.#low.keys()) this.#mayBe[low & 0xffff] = 1;
  }

  run(): ReadonlyMap<bigint, readonly Use[]> {
    if (this.#low.size === 0) return this.#uses;
    const initBegin = this.#names.named('__init_begin')[0]?.address ?? 0n;
    const initEnd = this.#names.named('__init_end')[0]?.address ?? 0n;
    for (const section of this.#image.sections) {
      if (section.bytes.length === 0) continue;
      if (section.sh_addr >= initBegin && section.sh_addr < initEnd) continue;
      if (hasFlag(section.sh_flags, SHF.EXECINSTR)) this.#scanCode(section);
      else this.#scanData(section);
    }
    for (const target of this.#uses.keys()) this.#scanShortJumps(target);
    return this.#uses;
  }

  #scanCode({ bytes, sh_addr }: Section): void {
    const mayBe = this.#mayBe;
    const base = Number(BigInt.asIntN(32, sh_addr));
    const end = bytes.length - 4;
    let value = ((bytes[0] ?? 0) << 8) | ((bytes[1] ?? 0) << 16) | ((bytes[2] ?? 0) << 24);
    for (let at = 0; at <= end; at++) {
      value = (value >>> 8) | ((bytes[at + 3] ?? 0) << 24);
      const distant = (base + at + 4 + value) | 0;
      if (mayBe[value & 0xffff] === 0 && mayBe[distant & 0xffff] === 0) continue;
      this.#judge(this.#low.get(distant), sh_addr + BigInt(at), 4);
      this.#judge(this.#low.get(value), sh_addr + BigInt(at), 4);
    }
  }

  /** The assembler knows the distance between two functions of one section, and may put it into one byte. */
  #scanShortJumps(target: bigint): void {
    const start = target - BigInt(shortReach);
    const section = this.#image.sectionAt(target);
    if (section === undefined) return;
    const from = Math.max(0, Number(start - section.sh_addr));
    const to = Math.min(section.bytes.length, from + 2 * shortReach);
    for (let at = from; at < to; at++) {
      const distance = ((section.bytes[at] ?? 0) << 24) >> 24;
      const place = section.sh_addr + BigInt(at);
      if (place + 1n + BigInt(distance) === target) this.#judge(target, place, 1);
    }
  }

  /** @param field - where the operand is that may mean the target, `size` bytes at the end of an instruction */
  #judge(target: bigint | undefined, field: bigint, size: 1 | 4): void {
    if (target === undefined) return;
    const owner = this.#names.covering(field);
    if (owner === undefined) return;
    const { bytes, code } = this.#decode(owner);
    const offset = Number(field - owner.address);
    const index = instructionAt(code, offset);
    const end = (code.starts[index] ?? 0) + (code.lengths[index] ?? 0);
    if (index < 0 || end !== offset + size) return;
    const flow = code.flows[index];
    const use = { object: 'vmlinux', name: owner.name };
    if (flow === Flow.call || flow === Flow.jump || flow === Flow.branch) {
      // A loop back to the first instruction is no call of the function.
      if (owner.address + BigInt(code.targets[index] ?? 0) !== target || owner.address === target) return;
      this.#uses.get(target)?.push({ ...use, kind: flow === Flow.call ? 'call' : 'jump' });
    } else if (size === 4 && this.#arch.takesAddress(bytes, code, offset)) {
      this.#uses.get(target)?.push({ ...use, kind: 'code' });
    }
  }

  #decode(owner: KernelSymbol) {
    const known = this.#decoded.get(owner.address);
    if (known !== undefined) return known;
    // The last function of a section reaches to the first symbol of another.
    const section = this.#image.sectionAt(owner.address);
    const offset = Number(owner.address - (section?.sh_addr ?? 0n));
    const bytes =
      section?.bytes.subarray(offset, offset + Number(this.#names.extentOf(owner))) ?? new Uint8Array();
    const decoded = { bytes, code: this.#arch.decode(bytes) };
    this.#decoded.set(owner.address, decoded);
    return decoded;
  }

  #scanData({ name, bytes, sh_addr }: Section): void {
    // Sections are aligned by eight at least where they hold addresses.
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const first = Number(-sh_addr & 7n);
    for (let at = first; at + 8 <= bytes.length; at += 8) {
      const low = view.getInt32(at, true);
      if (this.#mayBe[low & 0xffff] === 0) continue;
      const target = this.#low.get(low);
      if (target === undefined || view.getInt32(at + 4, true) !== -1) continue;
      const place = sh_addr + BigInt(at);
      const owner = this.#names.covering(place);
      const offset = owner === undefined ? 0n : place - owner.address;
      const where = owner?.name ?? `${name}+0x${at.toString(16)}`;
      this.#uses.get(target)?.push({
        object: 'vmlinux',
        name: offset === 0n ? where : `${where}+0x${offset.toString(16)}`,
        kind: 'data',
      });
    }
  }
}
