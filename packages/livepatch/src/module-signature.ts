import { KstitchError } from '@kstitch/report/error';

const magic = new TextEncoder().encode('~Module signature appended~\n');

/** Bytes of `struct module_signature` (include/linux/module_signature.h), which stands between signature and magic. */
const trailerSize = 12;

export interface SplitModule {
  /** The ELF file alone: what a bundle's sha256 is of. */
  readonly unsigned: Uint8Array;
  /** The PKCS#7 message, undefined for an unsigned module. */
  readonly signature: Uint8Array | undefined;
}

/**
 * Separates a module from the signature appended to it (kernel/module_signature.c: mod_check_sig()).
 *
 * @param what - the file's name, for messages
 * @returns views of `bytes`
 * @throws KstitchError - `livepatch-signature-malformed` when the file claims a signature that does not fit in it
 */
export function splitSignature(bytes: Uint8Array, what: string): SplitModule {
  const end = bytes.length - magic.length;
  if (end < 0 || magic.some((byte, index) => bytes[end + index] !== byte))
    return { unsigned: bytes, signature: undefined };
  const trailer = end - trailerSize;
  if (trailer >= 0) {
    const size = new DataView(bytes.buffer, bytes.byteOffset + trailer, trailerSize).getUint32(8, false);
    const start = trailer - size;
    if (start >= 0) return { unsigned: bytes.subarray(0, start), signature: bytes.subarray(start, trailer) };
  }
  throw new KstitchError(
    'livepatch-signature-malformed',
    `cannot read the signature of '${what}': it is longer than the file`,
  );
}
