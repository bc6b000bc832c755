import type { Section } from '@kstitch/elf/model';

/**
 * Code that no symbol covers. Inline assembly puts pieces of a function into sections of their own (`.text..refcount`,
 * 4.13 to 4.19), reached by offset only. What merely fills the space between functions is none of it.
 */
export class CodeGaps {
  readonly #bySection = new Map<number, { readonly from: number; readonly to: number }[]>();

  /** @param from - byte offsets of the space between two functions */
  add(section: Section, from: number, to: number): void {
    if (section.bytes.subarray(from, to).every(byte => fillers.has(byte))) return;
    const gaps = this.#bySection.get(section.index);
    if (gaps === undefined) this.#bySection.set(section.index, [{ from, to }]);
    else gaps.push({ from, to });
  }

  has(section: number): boolean {
    return this.#bySection.has(section);
  }

  /** @returns all gaps, by section index */
  entries(): Iterable<[section: number, gaps: readonly { readonly from: number; readonly to: number }[]]> {
    return this.#bySection.entries();
  }

  /** @returns the end of the gap that `offset` lies in, or 0 */
  endOf(section: number, offset: number): number {
    return this.#bySection.get(section)?.find(({ from, to }) => offset >= from && offset < to)?.to ?? 0;
  }
}

/** Every byte of the NOPs and traps that assembler and compiler fill with. */
const fillers: ReadonlySet<number> = new Set([
  0x00, 0x0f, 0x1f, 0x2e, 0x40, 0x44, 0x66, 0x80, 0x84, 0x90, 0xcc,
]);
