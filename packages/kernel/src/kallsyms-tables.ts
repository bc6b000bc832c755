/**
 * Finds the tables that scripts/kallsyms.c wrote into a kernel, in an image without a symbol table.
 *
 * The tables, each aligned to 8 bytes, in one section (.rodata), stand in one of two orders:
 *
 *     to 6.3:    offsets, relative_base, num_syms, names, markers, [seqs_of_names,] token_table, token_index
 *     from 6.4:  num_syms, names, markers, token_table, token_index, offsets, relative_base, seqs_of_names
 *
 * (`seqs_of_names` came with 6.2, and into 6.1 by a stable update.) What is known of each part:
 *
 * - token_table: 256 strings with NUL. A character that occurs in names stands for itself, digits always do, so
 *   `0\0 1\0 … 9\0` is in it; that is looked for, and token_index (256 16-bit offsets) behind it must agree.
 * - names: for each symbol a length (ULEB128 of one or two bytes) and that many tokens; the first letter is the type.
 * - markers: 32 bits for every 256th symbol, its offset in names. So markers begin with 0 and ascend, their count gives
 *   the count of symbols but for 256, and `num_syms` before the names must be in that range; walking the last 256
 *   names must end where the markers begin, and walking all must meet every marker.
 * - offsets: 32 bits each, see {@link addressOf}; the addresses must ascend (the kernel bisects them).
 */
import { limits } from './limits.ts';

/** The tables as views of the image; all of them checked against each other, the offsets only for being there. */
export interface KallsymsTables {
  readonly count: number;
  /** Exactly the names, without the padding behind them. */
  readonly names: Uint8Array;
  /** Where in `tokenText` each of the 256 tokens begins; each ends with NUL. */
  readonly tokenIndex: Uint16Array;
  readonly tokenText: Uint8Array;
  /** `count` entries of 32 bits. */
  readonly offsets: Int32Array;
  readonly relativeBase: bigint;
}

const tokens = 256;
const alignment = 8;
const symbolsPerMarker = 256;
/** A name has at least a length and one token. */
const shortestName = 2;
/** ULEB128 of two bytes. */
const longestName = 0x3fff + 2;
const digits = Buffer.from('0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0', 'latin1');

/**
 * @param bytes - the contents of one section
 * @param isKernelAddress - whether something of the kernel has that address, for telling the two orders apart
 * @returns undefined when the section does not hold kallsyms
 */
export function findKallsymsTables(
  bytes: Uint8Array,
  littleEndian: boolean,
  isKernelAddress: (address: bigint) => boolean,
): KallsymsTables | undefined {
  const section: SectionView = {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    littleEndian,
  };
  const haystack = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = haystack.indexOf(digits); at >= 0; at = haystack.indexOf(digits, at + 1)) {
    const found = findTokens(section, at);
    if (found === undefined) continue;
    const names = findNames(section, found.start);
    if (names === undefined) continue;
    const offsets = findOffsets(section, names, found.end, isKernelAddress);
    if (offsets === undefined) continue;
    return {
      count: names.count,
      names: bytes.subarray(names.start, names.end),
      tokenIndex: found.index,
      tokenText: bytes.subarray(found.start, found.textEnd),
      ...offsets,
    };
  }
  return undefined;
}

interface SectionView {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly littleEndian: boolean;
}

interface Tokens {
  /** Where token_table begins. */
  readonly start: number;
  readonly textEnd: number;
  /** Where token_index ends, aligned for what follows. */
  readonly end: number;
  readonly index: Uint16Array;
}

/** @param digitsAt - where the token '0' seems to be, followed by '1' to '9' */
function findTokens({ bytes, view, littleEndian }: SectionView, digitsAt: number): Tokens | undefined {
  const zero = '0'.charCodeAt(0);
  // Where the table begins is not known, but where it ends is: so many strings later.
  let textEnd = digitsAt;
  for (let token = zero; token < tokens; token++) {
    const end = bytes.indexOf(0, textEnd);
    if (end < 0 || end - textEnd > limits.kallsymsName) return undefined;
    textEnd = end + 1;
  }
  const indexAt = aligned(textEnd);
  if (indexAt + tokens * 2 > bytes.length) return undefined;
  const index = Uint16Array.from({ length: tokens }, (_, token) =>
    view.getUint16(indexAt + token * 2, littleEndian),
  );

  // The index counts from the beginning of the table, so it tells where that is.
  const start = digitsAt - (index[zero] ?? 0);
  if (start < 0 || start % alignment !== 0 || index[0] !== 0) return undefined;
  for (let token = 0; token < tokens; token++) {
    const nul = bytes.indexOf(0, start + (index[token] ?? 0));
    const next = token + 1 < tokens ? start + (index[token + 1] ?? 0) : textEnd;
    if (nul + 1 !== next) return undefined;
  }
  return { start, textEnd, end: aligned(indexAt + tokens * 2), index };
}

interface Names {
  readonly count: number;
  readonly start: number;
  readonly end: number;
}

/** @param tokensAt - where token_table begins, which markers or seqs_of_names stand before */
function findNames(section: SectionView, tokensAt: number): Names | undefined {
  const { view, littleEndian } = section;
  const lowest = Math.max(alignment, tokensAt - aligned(limits.kallsymsEntries * 4));
  for (let at = tokensAt - alignment; at >= lowest; at -= alignment) {
    // Markers begin with 0 and a step of 256 names; this alone rules out nearly every other place.
    if (view.getUint32(at, littleEndian) !== 0) continue;
    const first = view.getUint32(at + 4, littleEndian);
    if (first !== 0 && !isStep(first)) continue;
    for (const range of countsThatFit(tokensAt - at)) {
      const names = findNamesBefore(section, at, range);
      if (names !== undefined) return names;
    }
  }
  return undefined;
}

interface CountRange {
  readonly lowest: number;
  readonly highest: number;
  readonly markers: number;
}

/**
 * @param gap - bytes from markers to token_table
 * @returns which counts of symbols make markers, or markers and seqs_of_names, just as long
 */
function countsThatFit(gap: number): CountRange[] {
  const ranges: CountRange[] = [];
  // Markers alone, an even or an odd number of them.
  for (const markers of [gap / 4, gap / 4 - 1]) {
    if (markers < 1) continue;
    ranges.push({
      lowest: (markers - 1) * symbolsPerMarker + 1,
      highest: markers * symbolsPerMarker,
      markers,
    });
  }
  // Markers and three bytes for each symbol; the paddings leave a few counts to try.
  const about = Math.floor(gap / (3 + 4 / symbolsPerMarker));
  for (let count = Math.max(1, about - alignment); count <= about + 1; count++) {
    const markers = Math.ceil(count / symbolsPerMarker);
    if (aligned(markers * 4) + aligned(count * 3) === gap)
      ranges.push({ lowest: count, highest: count, markers });
  }
  return ranges.filter(({ lowest }) => lowest <= limits.kallsymsEntries);
}

function findNamesBefore(section: SectionView, markersAt: number, range: CountRange): Names | undefined {
  const { view, littleEndian } = section;
  let last = 0;
  for (let marker = 1; marker < range.markers; marker++) {
    const value = view.getUint32(markersAt + marker * 4, littleEndian);
    if (!isStep(value - last)) return undefined;
    last = value;
  }
  // Names begin as far before as their last 256 entries, which no marker tells the length of, are long.
  const nearest = markersAt - last - shortestName;
  const farthest = Math.max(alignment, markersAt - last - symbolsPerMarker * longestName - alignment);
  for (let start = nearest - (nearest % alignment); start >= farthest; start -= alignment) {
    const count = view.getUint32(start - alignment, littleEndian);
    if (count < range.lowest || count > range.highest) continue;
    const rest = count - (range.markers - 1) * symbolsPerMarker;
    const end = walkNames(section.bytes, start + last, rest, markersAt);
    if (end === undefined || aligned(end) !== markersAt) continue;
    if (meetsMarkers(section, start, count, markersAt)) return { count, start, end };
  }
  return undefined;
}

function meetsMarkers(section: SectionView, start: number, count: number, markersAt: number): boolean {
  const { bytes, view, littleEndian } = section;
  let at: number | undefined = start;
  for (let first = 0; first < count; first += symbolsPerMarker) {
    const marker = view.getUint32(markersAt + (first / symbolsPerMarker) * 4, littleEndian);
    if (at === undefined || at - start !== marker) return false;
    at = walkNames(bytes, at, Math.min(symbolsPerMarker, count - first), markersAt);
  }
  return at !== undefined;
}

/** @returns where `count` names end; undefined when one is empty or leaves `limit` */
function walkNames(bytes: Uint8Array, start: number, count: number, limit: number): number | undefined {
  let at = start;
  for (let left = count; left > 0; left--) {
    const low = bytes[at] ?? 0;
    const length = low < 0x80 ? low : (low & 0x7f) | ((bytes[at + 1] ?? 0) << 7);
    at += length + (low < 0x80 ? 1 : 2);
    if (length === 0 || at > limit) return undefined;
  }
  return at;
}

function findOffsets(
  section: SectionView,
  names: Names,
  tokensEnd: number,
  isKernelAddress: (address: bigint) => boolean,
): Pick<KallsymsTables, 'offsets' | 'relativeBase'> | undefined {
  const { view, littleEndian, bytes } = section;
  const size = aligned(names.count * 4);
  const countAt = names.start - alignment;
  const orders = [
    { offsetsAt: countAt - alignment - size, baseAt: countAt - alignment },
    { offsetsAt: tokensEnd, baseAt: tokensEnd + size },
  ];
  for (const { offsetsAt, baseAt } of orders) {
    if (offsetsAt < 0 || baseAt + 8 > bytes.length) continue;
    const relativeBase = view.getBigUint64(baseAt, littleEndian);
    if (!isKernelAddress(relativeBase)) continue;
    const offsets = Int32Array.from({ length: names.count }, (_, index) =>
      view.getInt32(offsetsAt + index * 4, littleEndian),
    );
    if (ascend(offsets)) return { offsets, relativeBase };
  }
  return undefined;
}

/**
 * Whether the addresses ascend, said without computing them: what is per-CPU (not negative) comes first and ascends,
 * then what is relative descends from -1; without CONFIG_KALLSYMS_ABSOLUTE_PERCPU none is negative.
 */
function ascend(offsets: Int32Array): boolean {
  let last = 0;
  for (const offset of offsets) {
    const fine = last >= 0 ? offset < 0 || offset >= last : offset < 0 && offset <= last;
    if (!fine) return false;
    last = offset;
  }
  return true;
}

function isStep(step: number): boolean {
  return step >= symbolsPerMarker * shortestName && step <= symbolsPerMarker * longestName;
}

function aligned(at: number): number {
  return Math.ceil(at / alignment) * alignment;
}
