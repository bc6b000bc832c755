/**
 * LZ4 in the "legacy frame format", which `lz4 -l` writes and a kernel with CONFIG_KERNEL_LZ4 is packed in: a magic
 * number, then blocks of a 32-bit compressed size and that many bytes, each block at most 8 MiB unpacked and
 * independent of the others.
 *
 * Source: lz4_Frame_format.md ("Legacy frame") and lz4_Block_format.md of the LZ4 project.
 */
import { KstitchError } from '@kstitch/report/error';

export const LZ4_LEGACY_MAGIC = 0x184c2102;

/** Bytes that one block gives at most when unpacked. */
const maximumBlock = 8 * 1024 * 1024;
const minimumMatch = 4;

/**
 * @param packed - a whole legacy frame, nothing behind it
 * @param size - bytes that it must give
 * @throws KstitchError - `kernel-payload` when it is damaged or gives another size
 */
export function unpackLz4Legacy(packed: Uint8Array, size: number): Uint8Array {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  if (packed.length < 4 || view.getUint32(0, true) !== LZ4_LEGACY_MAGIC) {
    throw damaged('it does not begin with the magic number of a legacy frame');
  }
  const unpacked = new Uint8Array(size);
  let from = 4;
  let to = 0;
  while (from < packed.length) {
    if (from + 4 > packed.length) throw damaged(`the size of a block is cut off at byte ${from}`);
    const blockSize = view.getUint32(from, true);
    from += 4;
    // Frames may be joined; the second one's magic then stands where a block size would.
    if (blockSize === LZ4_LEGACY_MAGIC) continue;
    if (blockSize > packed.length - from) {
      throw damaged(`the block at byte ${from} has ${blockSize} bytes, ${packed.length - from} are left`);
    }
    to = unpackBlock(packed, from, from + blockSize, unpacked, to);
    from += blockSize;
  }
  if (to !== size) throw damaged(`it gives ${to} bytes, its trailer says ${size}`);
  return unpacked;
}

/** @returns where in `unpacked` the block ended */
function unpackBlock(
  packed: Uint8Array,
  start: number,
  end: number,
  unpacked: Uint8Array,
  blockStart: number,
): number {
  const limit = Math.min(unpacked.length, blockStart + maximumBlock);
  let from = start;
  let to = blockStart;
  // Reading beyond `end` gives 0 or a neighbour's byte and never passes the check that follows each sequence.
  const byteAt = (at: number): number => packed[at] ?? 0;
  while (from < end) {
    const token = byteAt(from++);

    let literals = token >>> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255 && from < end) {
        more = byteAt(from++);
        literals += more;
      }
    }
    if (literals > end - from || literals > limit - to) throw overrun(from);
    if (literals < 24) for (let left = literals; left > 0; left--) unpacked[to++] = byteAt(from++);
    else {
      unpacked.set(packed.subarray(from, from + literals), to);
      from += literals;
      to += literals;
    }
    // The last sequence of a block has literals only.
    if (from === end) return to;

    if (end - from < 2) throw overrun(from);
    const offset = byteAt(from) | (byteAt(from + 1) << 8);
    from += 2;
    let match = (token & 15) + minimumMatch;
    if ((token & 15) === 15) {
      let more = 255;
      while (more === 255 && from < end) {
        more = byteAt(from++);
        match += more;
      }
    }
    if (offset === 0 || offset > to - blockStart || match > limit - to) throw overrun(from);
    // A match may overlap what it writes (a run); only one that does not can be copied at once.
    if (match >= 24 && offset >= match) {
      unpacked.copyWithin(to, to - offset, to - offset + match);
      to += match;
    } else {
      for (let left = match; left > 0; left--) {
        unpacked[to] = unpacked[to - offset] ?? 0;
        to++;
      }
    }
  }
  return to;
}

function overrun(at: number): KstitchError {
  return damaged(`the sequence that ends at byte ${at} leaves its block`);
}

function damaged(problem: string): KstitchError {
  return new KstitchError('kernel-payload', `cannot unpack the lz4-legacy payload: ${problem}`);
}
