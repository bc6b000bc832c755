/**
 * BTF, the kernel's own type information: how large a struct is, where its members lie, what values an enum has.
 *
 * A BTF section is a header, a run of type records of varying length numbered from 1, and a string table. Finding a
 * type by its number needs the offset of every record, which costs one walk over the records (about 100,000 of them);
 * that is done once, on reading. Names are compared where they stand.
 *
 * Source: Documentation/bpf/btf.rst.
 */
import { ByteReader } from '@kstitch/elf/byte-reader';
import type { ByteOrder, ElfFile } from '@kstitch/elf/model';
import { KstitchError } from '@kstitch/report/error';
import { limits } from './limits.ts';

const BTF_MAGIC = 0xeb9f;
const BTF_VERSION = 1;
const headerSize = 24;
const recordSize = 12;
const memberSize = 12;

const KIND = {
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const;

/** Bytes behind a record: a fixed number, and so many for each of its `vlen` parts. */
const tails: ReadonlyMap<number, { readonly fixed: number; readonly each: number }> = new Map([
  [KIND.INT, { fixed: 4, each: 0 }],
  [KIND.PTR, { fixed: 0, each: 0 }],
  [KIND.ARRAY, { fixed: 12, each: 0 }],
  [KIND.STRUCT, { fixed: 0, each: memberSize }],
  [KIND.UNION, { fixed: 0, each: memberSize }],
  [KIND.ENUM, { fixed: 0, each: 8 }],
  [KIND.FWD, { fixed: 0, each: 0 }],
  [KIND.TYPEDEF, { fixed: 0, each: 0 }],
  [KIND.VOLATILE, { fixed: 0, each: 0 }],
  [KIND.CONST, { fixed: 0, each: 0 }],
  [KIND.RESTRICT, { fixed: 0, each: 0 }],
  [KIND.FUNC, { fixed: 0, each: 0 }],
  [KIND.FUNC_PROTO, { fixed: 0, each: 8 }],
  [KIND.VAR, { fixed: 4, each: 0 }],
  [KIND.DATASEC, { fixed: 0, each: 12 }],
  [KIND.FLOAT, { fixed: 0, each: 0 }],
  [KIND.DECL_TAG, { fixed: 4, each: 0 }],
  [KIND.TYPE_TAG, { fixed: 0, each: 0 }],
  [KIND.ENUM64, { fixed: 0, each: 12 }],
]);

export interface BtfMember {
  /** Bytes from the start of the struct. */
  readonly offset: number;
  /** Bits beyond `offset`, of a bit field that does not begin at a byte. */
  readonly bitOffset: number;
}

/** A struct as the kernel was compiled with it. */
export interface BtfStruct {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /**
   * @param name - a member's name; members of anonymous structs and unions count as the struct's own, as in C
   * @returns undefined when there is none of that name
   */
  member(name: string): BtfMember | undefined;
}

/** A member as its record has it. */
export interface BtfField {
  /** Empty for an anonymous struct or union. */
  readonly name: string;
  readonly type: number;
  /** In bits from the start of the struct. */
  readonly bitOffset: number;
  /** In bits, of a bit field; 0 for any other member. */
  readonly bitSize: number;
}

/** One type, as far as memory and constants depend on it. Sizes are in bytes. */
export type BtfType =
  | {
      readonly kind: 'struct' | 'union';
      readonly name: string;
      readonly size: number;
      readonly fields: readonly BtfField[];
    }
  | {
      readonly kind: 'enum';
      readonly name: string;
      readonly size: number;
      readonly values: readonly (readonly [name: string, value: number])[];
    }
  | { readonly kind: 'integer' | 'float'; readonly size: number }
  | { readonly kind: 'pointer' }
  | { readonly kind: 'array'; readonly element: number; readonly count: number }
  /** Another name for a type, or a qualified one. */
  | { readonly kind: 'alias'; readonly name: string; readonly type: number }
  /** Functions, variables, types that are only declared: nothing lies in memory as they say. */
  | { readonly kind: 'other' };

/**
 * @param elf - a vmlinux, or an object compiled with `-gbtf`
 * @throws KstitchError - `kernel-btf` when it has no BTF or a damaged one
 */
export function readBtf(elf: ElfFile): Btf {
  const section = elf.sections.find(({ name }) => name === '.BTF');
  if (section === undefined || section.bytes.length === 0) {
    throw new KstitchError('kernel-btf', `cannot read the BTF of '${elf.what}': it has no section '.BTF'`);
  }
  return new Btf(section.bytes, elf.header.byteOrder, elf.what);
}

export class Btf {
  /** Whose types they are, for messages. */
  readonly what: string;
  readonly #types: ByteReader;
  readonly #strings: ByteReader;
  /** Type number - 1 → offset of its record. */
  readonly #records: Uint32Array;
  /** Offsets of the records of structs, one type in twelve of a kernel's. */
  readonly #structs: number[] = [];

  /**
   * @param bytes - the contents of a `.BTF` section
   * @throws KstitchError - `kernel-btf`
   */
  constructor(bytes: Uint8Array, byteOrder: ByteOrder, what: string) {
    this.what = what;
    const reader = new ByteReader(bytes, byteOrder, `the BTF of '${what}'`, 'kernel-btf');
    const magic = reader.u16(0, 'magic');
    const version = reader.u8(2, 'version');
    if (magic !== BTF_MAGIC || version !== BTF_VERSION) {
      throw this.#damaged(`it begins with 0x${magic.toString(16)} version ${version}, not 0xeb9f version 1`);
    }
    // Offsets count from the end of the header, whose length the header itself gives.
    const body = reader.u32(4, 'hdr_len');
    if (body < headerSize) throw this.#damaged(`hdr_len is ${body}, a header has ${headerSize} bytes`);
    const part = (at: number, name: string) =>
      reader.part(
        body + reader.u32(at, `${name}_off`),
        reader.u32(at + 4, `${name}_len`),
        `BTF ${name}s of '${what}'`,
      );
    this.#types = part(8, 'type');
    this.#strings = part(16, 'string');
    this.#records = this.#findRecords();
  }

  get typeCount(): number {
    return this.#records.length;
  }

  /**
   * @returns undefined when no struct has that name
   * @throws KstitchError - `kernel-btf` when several have and they differ in size, or the record is damaged
   */
  struct(name: string): BtfStruct | undefined {
    let found: BtfStruct | undefined;
    const wanted = Buffer.from(`${name}\0`, 'latin1');
    for (const at of this.#structs) {
      if (!this.#isNamed(at, wanted)) continue;
      const size = this.#types.u32(at + 8, 'size of a struct');
      if (found !== undefined && found.size !== size) {
        throw this.#damaged(`it has two structs '${name}', of ${found.size} and of ${size} bytes`);
      }
      found ??= { name, size, member: member => this.#member(at, Buffer.from(`${member}\0`, 'latin1'), 0) };
    }
    return found;
  }

  /**
   * @param number - from 1 to `typeCount`
   * @throws KstitchError - `kernel-btf` when there is none of that number or its record is damaged
   */
  type(number: number): BtfType {
    const at = this.#recordAt(number);
    const info = this.#types.u32(at + 4, 'info');
    const sizeOrType = this.#types.u32(at + 8, 'size or type');
    switch (kindOf(info)) {
      case KIND.STRUCT:
      case KIND.UNION:
        return {
          kind: kindOf(info) === KIND.STRUCT ? 'struct' : 'union',
          name: this.#name(at),
          size: sizeOrType,
          fields: this.#fields(at, info),
        };
      case KIND.ENUM:
      case KIND.ENUM64:
        return { kind: 'enum', name: this.#name(at), size: sizeOrType, values: this.#values(at, info) };
      case KIND.INT:
        return { kind: 'integer', size: sizeOrType };
      case KIND.FLOAT:
        return { kind: 'float', size: sizeOrType };
      case KIND.PTR:
        return { kind: 'pointer' };
      case KIND.ARRAY:
        return {
          kind: 'array',
          element: this.#types.u32(at + recordSize, 'type of elements'),
          count: this.#types.u32(at + recordSize + 8, 'number of elements'),
        };
      case KIND.TYPEDEF:
        return { kind: 'alias', name: this.#name(at), type: sizeOrType };
      case KIND.CONST:
      case KIND.VOLATILE:
      case KIND.RESTRICT:
      case KIND.TYPE_TAG:
        return { kind: 'alias', name: '', type: sizeOrType };
      default:
        return { kind: 'other' };
    }
  }

  #fields(structAt: number, info: number): BtfField[] {
    return Array.from({ length: vlenOf(info) }, (_, index) => {
      const at = structAt + recordSize + index * memberSize;
      const bits = this.#types.u32(at + 8, 'offset of a member');
      return {
        name: this.#name(at),
        type: this.#types.u32(at + 4, 'type of a member'),
        bitOffset: hasKindFlag(info) ? bits & 0xffffff : bits,
        bitSize: hasKindFlag(info) ? bits >>> 24 : 0,
      };
    });
  }

  #values(enumAt: number, info: number): (readonly [string, number])[] {
    const wide = kindOf(info) === KIND.ENUM64;
    return Array.from({ length: vlenOf(info) }, (_, index) => {
      const at = enumAt + recordSize + index * (wide ? 12 : 8);
      const low = this.#types.u32(at + 4, 'value of an enumerator');
      const high = wide ? this.#types.u32(at + 8, 'value of an enumerator') * 2 ** 32 : 0;
      return [this.#name(at), wide ? high + low : low | 0];
    });
  }

  /** @param at - of a record, a member or an enumerator */
  #name(at: number): string {
    const from = this.#types.u32(at, 'name');
    const end = this.#strings.bytes.indexOf(0, from);
    if (end === -1) throw this.#damaged(`the name at ${from} has no end`);
    return Buffer.from(this.#strings.bytes.subarray(from, end)).toString('latin1');
  }

  #findRecords(): Uint32Array {
    // Records are at least 12 bytes, so their number is bounded by the section's length.
    const records = new Uint32Array(Math.min(limits.btfTypes, Math.floor(this.#types.length / recordSize)));
    let count = 0;
    let at = 0;
    while (at < this.#types.length) {
      if (count >= records.length) throw this.#damaged(`it has more than ${count} types`);
      const info = this.#types.u32(at + 4, 'info');
      const tail = tails.get(kindOf(info));
      if (tail === undefined) throw this.#damaged(`type ${count + 1} is of unknown kind ${kindOf(info)}`);
      records[count++] = at;
      if (kindOf(info) === KIND.STRUCT) this.#structs.push(at);
      at += recordSize + tail.fixed + tail.each * vlenOf(info);
    }
    if (at !== this.#types.length) throw this.#damaged(`type ${count} is cut off`);
    return records.slice(0, count);
  }

  #member(structAt: number, wanted: Buffer, depth: number): BtfMember | undefined {
    if (depth > limits.btfNesting)
      throw this.#damaged(`structs within structs, more than ${limits.btfNesting}`);
    const info = this.#types.u32(structAt + 4, 'info');
    for (let index = 0; index < vlenOf(info); index++) {
      const at = structAt + recordSize + index * memberSize;
      const bits = this.#types.u32(at + 8, 'offset of a member');
      // With kind_flag the upper 8 bits say how wide a bit field is.
      const bitOffset = hasKindFlag(info) ? bits & 0xffffff : bits;
      if (this.#isNamed(at, wanted)) return { offset: Math.floor(bitOffset / 8), bitOffset: bitOffset % 8 };
      if (this.#types.u32(at, 'name of a member') !== 0) continue;
      const inner = this.#structBehind(this.#types.u32(at + 4, 'type of a member'));
      const found = inner === undefined ? undefined : this.#member(inner, wanted, depth + 1);
      if (found !== undefined) return { ...found, offset: found.offset + Math.floor(bitOffset / 8) };
    }
    return undefined;
  }

  /** @returns the struct or union that a type is, behind its qualifiers */
  #structBehind(type: number): number | undefined {
    let at = this.#recordAt(type);
    for (let depth = 0; depth <= limits.btfNesting; depth++) {
      switch (this.#kind(at)) {
        case KIND.STRUCT:
        case KIND.UNION:
          return at;
        case KIND.TYPEDEF:
        case KIND.CONST:
        case KIND.VOLATILE:
        case KIND.RESTRICT:
        case KIND.TYPE_TAG:
          at = this.#recordAt(this.#types.u32(at + 8, 'a type referred to'));
          break;
        default:
          return undefined;
      }
    }
    throw this.#damaged(`type ${type} refers on and on`);
  }

  #recordAt(type: number): number {
    const at = this.#records[type - 1];
    if (at === undefined)
      throw this.#damaged(`type ${type} is referred to, there are ${this.#records.length}`);
    return at;
  }

  #kind(at: number): number {
    return kindOf(this.#types.u32(at + 4, 'info'));
  }

  /** @param wanted - the name with its NUL */
  #isNamed(at: number, wanted: Buffer): boolean {
    const name = this.#types.u32(at, 'name');
    const strings = this.#strings.bytes;
    // Most names differ in the first byte; no text is made for them.
    return strings[name] === wanted[0] && wanted.equals(strings.subarray(name, name + wanted.length));
  }

  #damaged(problem: string): KstitchError {
    return new KstitchError('kernel-btf', `cannot read the BTF of '${this.what}': ${problem}`);
  }
}

function kindOf(info: number): number {
  return (info >>> 24) & 0x1f;
}

function vlenOf(info: number): number {
  return info & 0xffff;
}

function hasKindFlag(info: number): boolean {
  return info >>> 31 === 1;
}
