/**
 * vmlinuz → vmlinux.
 *
 * A bzImage is a boot sector, some 16-bit setup code, and a 32-bit program that unpacks the kernel; the kernel lies
 * compressed in that program's data. The boot protocol says where, since version 2.08. How it is compressed
 * is decided by what it begins with, as the boot protocol itself advises.
 *
 * The kernel's build puts the unpacked size behind the compressed data, as 32 bits little-endian; gzip has those same
 * 32 bits as part of its own format, so there alone they stay.
 *
 * Sources: Documentation/x86/boot.rst ("The Real-Mode Kernel Header"), scripts/Makefile.lib (`size_append`).
 */
import { promisify } from 'node:util';
import { gunzip, constants as zlib, zstdDecompress } from 'node:zlib';
import { ByteReader } from '@kstitch/elf/byte-reader';
import { ET } from '@kstitch/elf/constants';
import { KstitchError } from '@kstitch/report/error';
import { limits } from './limits.ts';
import { unpackLz4Legacy } from './lz4-legacy.ts';

export type PayloadFormat = 'gzip' | 'xz' | 'zstd' | 'lz4-legacy' | 'bzip2' | 'lzma' | 'lzo';

export interface Payload {
  readonly format: PayloadFormat;
  /** The compressed stream alone: a view, without the size behind it. */
  readonly payload: Uint8Array;
  /** In bytes, as the image says. */
  readonly unpackedSize: number;
}

const header = {
  setupSectors: 0x1f1,
  magic: 0x202,
  version: 0x206,
  payloadOffset: 0x248,
  payloadLength: 0x24c,
} as const;
const headerMagic = 0x53726448; // 'HdrS'
const firstVersionWithPayload = 0x0208;
const sectorSize = 512;
const sizeTrailer = 4;

const magicNumbers: readonly { readonly format: PayloadFormat; readonly magic: readonly number[] }[] = [
  { format: 'gzip', magic: [0x1f, 0x8b] },
  { format: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { format: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd] },
  { format: 'lz4-legacy', magic: [0x02, 0x21, 0x4c, 0x18] },
  { format: 'bzip2', magic: [0x42, 0x5a, 0x68] },
  { format: 'lzma', magic: [0x5d, 0x00, 0x00] },
  { format: 'lzo', magic: [0x89, 0x4c, 0x5a, 0x4f] },
];

/**
 * @param bytes - a whole vmlinuz (bzImage)
 * @throws KstitchError - `kernel-vmlinuz` when it is none, is cut off, or holds something of unknown format
 */
export function locatePayload(bytes: Uint8Array): Payload {
  const reader = new ByteReader(bytes, 'little', 'the vmlinuz', 'kernel-vmlinuz');
  if (bytes.length < header.payloadLength + 4 || reader.u32(header.magic, 'magic') !== headerMagic) {
    throw notBootable(`in a file of ${bytes.length} bytes: it has no 'HdrS' at byte 0x202`);
  }
  const version = reader.u16(header.version, 'boot protocol version');
  if (version < firstVersionWithPayload) {
    throw notBootable(`: its boot protocol is ${version >> 8}.${hexByte(version & 0xff)}, older than 2.08`);
  }

  // 0 stands for 4 for the sake of very old loaders; the boot sector itself is not counted.
  const setupSectors = reader.u8(header.setupSectors, 'setup_sects') || 4;
  const start = (setupSectors + 1) * sectorSize + reader.u32(header.payloadOffset, 'payload_offset');
  const stored = reader.range(
    start,
    reader.u32(header.payloadLength, 'payload_length'),
    'the compressed kernel',
  );

  const format = magicNumbers.find(({ magic }) => magic.every((byte, at) => stored[at] === byte))?.format;
  if (format === undefined || stored.length <= sizeTrailer) {
    const begin = Buffer.from(stored.subarray(0, 6)).toString('hex');
    throw notBootable(`: its ${stored.length} bytes at byte 0x${start.toString(16)} begin with '${begin}'`);
  }
  const trailerAt = start + stored.length - sizeTrailer;
  const unpackedSize = reader.u32(trailerAt, 'unpacked size');
  if (unpackedSize > limits.vmlinux) {
    throw notBootable(`: its unpacked size is ${unpackedSize}, more than ${limits.vmlinux} bytes`);
  }
  const payload = format === 'gzip' ? stored : stored.subarray(0, stored.length - sizeTrailer);
  return { format, payload, unpackedSize };
}

/**
 * @param bytes - a whole vmlinuz (bzImage)
 * @param decompressXz - unpacks one xz stream (node has no xz; the caller runs the `xz` tool)
 * @returns the kernel as linked, symbols stripped: an `ET_EXEC` ELF, with the table of KASLR relocations behind it
 * @throws KstitchError - `kernel-vmlinuz`, `kernel-compression` (bzip2, lzma, lzo), `kernel-payload`; what
 *   `decompressXz` throws passes through
 */
export async function unpackVmlinuz(
  bytes: Uint8Array,
  decompressXz: (payload: Uint8Array) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const { format, payload, unpackedSize } = locatePayload(bytes);
  const unpacked = await unpack(format, payload, unpackedSize, decompressXz);
  if (unpacked.length !== unpackedSize) {
    throw damaged(format, `it gives ${unpacked.length} bytes, its trailer says ${unpackedSize}`);
  }
  if (!isExecutableElf(unpacked)) throw damaged(format, 'it gives no executable ELF file');
  return unpacked;
}

async function unpack(
  format: PayloadFormat,
  payload: Uint8Array,
  size: number,
  decompressXz: (payload: Uint8Array) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  switch (format) {
    case 'gzip':
      return await inflated(format, promisify(gunzip)(payload, { maxOutputLength: size + 1 }));
    case 'zstd':
      // The kernel is packed with `zstd -22 --ultra`, whose window is 2^27 bytes.
      return await inflated(
        format,
        promisify(zstdDecompress)(payload, {
          maxOutputLength: size + 1,
          params: { [zlib.ZSTD_d_windowLogMax]: 27 },
        }),
      );
    case 'xz':
      return await decompressXz(payload);
    case 'lz4-legacy':
      return unpackLz4Legacy(payload, size);
    case 'bzip2':
    case 'lzma':
    case 'lzo':
      throw new KstitchError('kernel-compression', `cannot unpack a kernel compressed with '${format}'`);
  }
}

async function inflated(format: PayloadFormat, work: Promise<Uint8Array>): Promise<Uint8Array> {
  try {
    return await work;
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw damaged(format, problem, cause);
  }
}

function isExecutableElf(bytes: Uint8Array): boolean {
  const magic = [0x7f, 0x45, 0x4c, 0x46];
  return magic.every((byte, at) => bytes[at] === byte) && bytes[16] === ET.EXEC && bytes[17] === 0;
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0');
}

function notBootable(problem: string): KstitchError {
  const joint = problem.startsWith(':') ? '' : ' ';
  return new KstitchError('kernel-vmlinuz', `cannot find the compressed kernel${joint}${problem}`);
}

function damaged(format: PayloadFormat, problem: string, cause?: unknown): KstitchError {
  return new KstitchError('kernel-payload', `cannot unpack the ${format} payload: ${problem}`, { cause });
}
