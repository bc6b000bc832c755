import type { Code } from '@kstitch/report/catalogue';
import { KstitchError } from '@kstitch/report/error';
import type { ByteOrder } from './model.ts';

/** What is being read, for messages: `sh_offset of section header 12`. A function where building the text costs. */
export type FieldName = string | (() => string);

/**
 * Reads integers at byte offsets, in a given byte order, never outside of its bytes.
 *
 * Loops over tables check the whole table once with {@link ByteReader.view} and read from the view.
 */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly byteOrder: ByteOrder;
  /** What `DataView` calls it: whether the byte order is little-endian. */
  readonly littleEndian: boolean;
  readonly #view: DataView;
  readonly #what: string;
  readonly #code: Code;

  /**
   * @param bytes - viewed, not copied
   * @param what - what they are, for messages: `'ext4.ko'`, `the BTF of 'vmlinux'`
   * @param code - thrown when something is to be read that is not there
   */
  constructor(bytes: Uint8Array, byteOrder: ByteOrder, what: string, code: Code = 'elf-truncated') {
    this.bytes = bytes;
    this.byteOrder = byteOrder;
    this.littleEndian = byteOrder === 'little';
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
    this.#code = code;
  }

  /** In bytes. */
  get length(): number {
    return this.bytes.length;
  }

  u8(offset: number, field: FieldName): number {
    this.#check(offset, 1, field);
    return this.#view.getUint8(offset);
  }

  u16(offset: number, field: FieldName): number {
    this.#check(offset, 2, field);
    return this.#view.getUint16(offset, this.littleEndian);
  }

  u32(offset: number, field: FieldName): number {
    this.#check(offset, 4, field);
    return this.#view.getUint32(offset, this.littleEndian);
  }

  i32(offset: number, field: FieldName): number {
    this.#check(offset, 4, field);
    return this.#view.getInt32(offset, this.littleEndian);
  }

  u64(offset: number, field: FieldName): bigint {
    this.#check(offset, 8, field);
    return this.#view.getBigUint64(offset, this.littleEndian);
  }

  i64(offset: number, field: FieldName): bigint {
    this.#check(offset, 8, field);
    return this.#view.getBigInt64(offset, this.littleEndian);
  }

  /**
   * A 64-bit offset, size or count.
   *
   * @returns a number that is exact
   * @throws KstitchError - when it is 2^53 or more, which no file can reach
   */
  quantity(offset: number, field: FieldName): number {
    this.#check(offset, 8, field);
    const first = this.#view.getUint32(offset, this.littleEndian);
    const second = this.#view.getUint32(offset + 4, this.littleEndian);
    const value = this.littleEndian ? second * 2 ** 32 + first : first * 2 ** 32 + second;
    if (!Number.isSafeInteger(value)) {
      const shown = this.#view.getBigUint64(offset, this.littleEndian).toString(16);
      throw new KstitchError(
        this.#code,
        `cannot read ${textOf(field)} of ${this.#what} at byte ${hex(offset)}: 0x${shown} is beyond any file`,
      );
    }
    return value;
  }

  /**
   * @param size - in bytes
   * @returns a view of these bytes, not a copy
   */
  range(offset: number, size: number, field: FieldName): Uint8Array {
    this.#check(offset, size, field);
    return this.bytes.subarray(offset, offset + size);
  }

  /**
   * @param size - in bytes
   * @returns a view of these bytes for reading a table whose bounds are thereby checked
   */
  view(offset: number, size: number, field: FieldName): DataView {
    this.#check(offset, size, field);
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + offset, size);
  }

  /**
   * @param size - in bytes
   * @returns a reader of a part, with offsets of its own
   */
  part(offset: number, size: number, what: string): ByteReader {
    return new ByteReader(this.range(offset, size, what), this.byteOrder, what, this.#code);
  }

  /**
   * @param maximum - in bytes, without the terminator
   * @returns the bytes up to the next NUL, each as one character (latin1, so nothing is lost)
   */
  cString(offset: number, maximum: number, field: FieldName): string {
    this.#check(offset, 1, field);
    const limit = Math.min(this.bytes.length, offset + maximum + 1);
    const end = this.bytes.subarray(offset, limit).indexOf(0);
    if (end < 0) {
      throw new KstitchError(
        this.#code,
        `cannot read ${textOf(field)} of ${this.#what} at byte ${hex(offset)}: no NUL within ${limit - offset} bytes`,
      );
    }
    return latin1(this.bytes.subarray(offset, offset + end));
  }

  #check(offset: number, size: number, field: FieldName): void {
    if (offset >= 0 && size >= 0 && offset + size <= this.bytes.length) return;
    throw new KstitchError(
      this.#code,
      `cannot read ${textOf(field)} of ${this.#what}: ` +
        `${size} bytes at byte ${hex(offset)} reach beyond the end at byte ${hex(this.bytes.length)}`,
    );
  }
}

/** One character a byte: the only reading of names that gives the same bytes back. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function textOf(field: FieldName): string {
  return typeof field === 'string' ? field : field();
}

function hex(value: number): string {
  return value < 0 ? String(value) : `0x${value.toString(16)}`;
}
