import { KstitchError } from '@kstitch/report/error';
import { type FieldName, latin1 } from './byte-reader.ts';
import { limits } from './limits.ts';

/**
 * A `SHT_STRTAB` section to look names up in.
 *
 * The table is decoded once, as latin1 (one character a byte, so names survive unchanged), and names are slices
 * of it: a module's thousands of symbols cost one call into native code.
 */
export class StringTable {
  readonly #text: string;
  readonly #what: string;

  /**
   * @param bytes - the section's contents
   * @param what - name of the file, for messages
   * @throws KstitchError - `elf-too-large`
   */
  constructor(bytes: Uint8Array, what: string) {
    if (bytes.length > limits.stringTable) {
      throw new KstitchError(
        'elf-too-large',
        `cannot read a string table of '${what}': ${bytes.length} bytes, at most ${limits.stringTable} are supported`,
      );
    }
    this.#text = latin1(bytes);
    this.#what = what;
  }

  /**
   * @param offset - in bytes; 0 is the empty name, also of an empty table
   * @param field - whose name it is, for messages
   * @throws KstitchError - `elf-malformed` outside of the table or without a NUL, `elf-too-large`
   */
  nameAt(offset: number, field: FieldName): string {
    if (offset === 0 && this.#text.length === 0) return '';
    if (offset >= this.#text.length) {
      throw this.#error(
        'elf-malformed',
        field,
        `offset ${offset} is outside of a string table of ${this.#text.length} bytes`,
      );
    }
    const end = this.#text.indexOf('\0', offset);
    if (end < 0)
      throw this.#error(
        'elf-malformed',
        field,
        `the string table ends without a NUL behind offset ${offset}`,
      );
    if (end - offset > limits.name)
      throw this.#error('elf-too-large', field, `longer than ${limits.name} bytes`);
    return this.#text.slice(offset, end);
  }

  #error(code: 'elf-malformed' | 'elf-too-large', field: FieldName, problem: string): KstitchError {
    const shown = typeof field === 'string' ? field : field();
    return new KstitchError(code, `cannot read ${shown} of '${this.#what}': ${problem}`);
  }
}
