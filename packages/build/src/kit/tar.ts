/**
 * A tar archive of plain files, as `tar tf` reads it (POSIX ustar), and no more of the format than that.
 *
 * What is imported comes from somewhere else, so it is read here and not by tar: whatever is no plain file of a short name is
 * refused, and nothing is written to a path that an archive names.
 */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { KstitchError } from '@kstitch/report/error';

const blockSize = 512;
const chunkSize = 1024 * 1024;
/** Bytes of one file. The largest package so far, a linux-source, has 150 MB; the format would allow 8 GiB. */
export const maxTarFile = 2 * 1024 ** 3;

/** @param name - at most 99 characters of ASCII */
export function tarHeader(name: string, size: number): Uint8Array {
  if (!/^[\x21-\x7e]{1,99}$/.test(name) || size > maxTarFile)
    throw new RangeError(`Cannot put '${name}' of ${size} bytes into a tar archive`);
  const header = Buffer.alloc(blockSize);
  header.write(name, 0, 'latin1');
  header.write('0000644\0', 100, 'latin1');
  header.write('0000000\0', 108, 'latin1');
  header.write('0000000\0', 116, 'latin1');
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  header.write('00000000000\0', 136, 'latin1');
  header.write('0', 156, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  header.write(`${checksum(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** @returns the zeros that fill the last block of a file */
export function tarPadding(size: number): Uint8Array {
  return Buffer.alloc((blockSize - (size % blockSize)) % blockSize);
}

export const tarEnd: Uint8Array = Buffer.alloc(2 * blockSize);

/** Sum of all bytes, those of the sum itself taken for spaces. */
function checksum(header: Uint8Array): number {
  return header.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0);
}

export interface TarEntry {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
}

/** Reads an archive from its start to its end, once. */
export class TarReader {
  readonly #file: FileHandle;
  readonly #what: string;
  readonly #hash = createHash('sha256');
  #at = 0;

  /** @param what - for messages */
  constructor(file: FileHandle, what: string) {
    this.#file = file;
    this.#what = what;
  }

  /**
   * @returns the next file; undefined at the end of the archive. Its contents must be read before the next one is asked for.
   * @throws KstitchError - `kit-archive-damaged`
   */
  async next(): Promise<TarEntry | undefined> {
    const header = await this.#read(blockSize);
    if (header.every(byte => byte === 0)) {
      await this.#checkEnd();
      return undefined;
    }
    const text = (from: number, to: number) => header.toString('latin1', from, to).replace(/\0.*$/s, '');
    const octal = (from: number, to: number) => {
      const digits = text(from, to).trim();
      return /^[0-7]{1,12}$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
    };
    const name = text(0, 100);
    const size = octal(124, 136);
    if (octal(148, 156) !== checksum(header) || !Number.isSafeInteger(size))
      throw this.damaged(`at byte ${this.#at - blockSize} stands no header of a file`);
    if (size > maxTarFile) throw this.damaged(`'${name}' has ${size} bytes, more than ${maxTarFile}`);
    if (text(156, 157) !== '0' || text(345, 500) !== '')
      throw this.damaged(`'${name}' is no plain file of a short name`);
    return { name, size };
  }

  /** @returns the contents of the file that {@link next} has named, piece by piece */
  async *contents({ size }: TarEntry): AsyncGenerator<Buffer, void, void> {
    for (let left = size; left > 0; left -= chunkSize) yield await this.#read(Math.min(left, chunkSize));
    await this.#read(tarPadding(size).length);
  }

  /** @returns the SHA-256 of all that was read: once {@link next} has found the end, of the whole file; lower-case hex */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  damaged(problem: string): KstitchError {
    return new KstitchError('kit-archive-damaged', `read '${this.#what}': ${problem}`);
  }

  async #checkEnd(): Promise<void> {
    const rest = await this.#read(blockSize);
    const { size } = await this.#file.stat();
    if (rest.some(byte => byte !== 0) || size !== this.#at)
      throw this.damaged(`something stands behind its end, at byte ${this.#at}`);
  }

  async #read(length: number): Promise<Buffer> {
    const buffer = Buffer.alloc(length);
    for (let filled = 0; filled < length; ) {
      const { bytesRead } = await this.#file.read(buffer, filled, length - filled, this.#at + filled);
      if (bytesRead === 0) throw this.damaged(`it ends early, after ${this.#at + filled} bytes`);
      filled += bytesRead;
    }
    this.#hash.update(buffer);
    this.#at += length;
    return buffer;
  }
}
