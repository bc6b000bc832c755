/**
 * cpio archives of the "new ASCII" kind that the kernel unpacks as an initramfs.
 *
 * A header is the magic `070701` and 13 numbers of 8 hexadecimal digits; the name with its NUL and the contents follow, each
 * padded to 4 bytes; an entry named `TRAILER!!!` ends the archive (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * Equal entries give equal bytes: times are 0, owners are root, inodes are numbered from 1 in the order of the entries.
 */

/** The last three digits of `mode`: `0o755`. */
type Permissions = number;

export type CpioEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode?: Permissions }
  | { readonly kind: 'file'; readonly path: string; readonly mode?: Permissions; readonly bytes: Uint8Array }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | {
      readonly kind: 'character-device';
      readonly path: string;
      readonly mode?: Permissions;
      readonly major: number;
      readonly minor: number;
    };

/** File type bits of `mode` (include/uapi/linux/stat.h). */
const fileTypes = {
  directory: 0o040000,
  file: 0o100000,
  symlink: 0o120000,
  'character-device': 0o020000,
} as const;

const defaultModes = { directory: 0o755, file: 0o644, symlink: 0o777, 'character-device': 0o600 } as const;

/** In bytes; PATH_MAX of the kernel, which refuses longer names. */
const MAX_PATH_BYTES = 4095;

/** In bytes: sizes are 32-bit numbers. */
const MAX_FILE_BYTES = 0xffff_ffff;

/**
 * @param entries - in the order of unpacking: a directory before what lies in it. Paths are relative to the root, without a
 *   leading slash
 * @returns the archive
 * @throws RangeError - a path that is empty, absolute, leaves the root, stands twice or has no directory before it; a file or a
 *   path too large
 */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  checkPaths(entries);
  const chunks: Uint8Array[] = [];
  for (const [index, entry] of entries.entries()) writeEntry(chunks, entry, index + 1);
  writeHeader(chunks, { ino: 0, mode: 0, nlink: 1, size: 0, rdevMajor: 0, rdevMinor: 0, path: 'TRAILER!!!' });
  return Buffer.concat(chunks);
}

/** @returns directory entries for all parents of `paths`, each once, parents first */
export function directoriesFor(paths: readonly string[]): CpioEntry[] {
  const found = new Set<string>();
  for (const path of paths) {
    const parts = path.split('/');
    for (let depth = 1; depth < parts.length; depth++) found.add(parts.slice(0, depth).join('/'));
  }
  return [...found].map(path => ({ kind: 'directory', path }));
}

function writeEntry(chunks: Uint8Array[], entry: CpioEntry, ino: number): void {
  const { kind, path } = entry;
  const permissions = kind === 'symlink' ? defaultModes.symlink : (entry.mode ?? defaultModes[kind]);
  const contents =
    kind === 'file' ? entry.bytes : kind === 'symlink' ? Buffer.from(entry.target) : new Uint8Array(0);
  if (contents.length > MAX_FILE_BYTES) {
    throw new RangeError(
      `cpio: '${path}' has ${contents.length} bytes, at most ${MAX_FILE_BYTES} can be stored`,
    );
  }
  writeHeader(chunks, {
    ino,
    // eslint-disable-next-line no-bitwise -- file type and permissions share a word
    mode: fileTypes[kind] | (permissions & 0o7777),
    nlink: kind === 'directory' ? 2 : 1,
    size: contents.length,
    rdevMajor: kind === 'character-device' ? entry.major : 0,
    rdevMinor: kind === 'character-device' ? entry.minor : 0,
    path,
  });
  chunks.push(contents, padding(contents.length));
}

interface Header {
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly size: number;
  readonly rdevMajor: number;
  readonly rdevMinor: number;
  readonly path: string;
}

function writeHeader(chunks: Uint8Array[], header: Header): void {
  const name = Buffer.from(`${header.path}\0`);
  const fields = [
    header.ino,
    header.mode,
    0, // uid
    0, // gid
    header.nlink,
    0, // mtime
    header.size,
    0, // device, major
    0, // device, minor
    header.rdevMajor,
    header.rdevMinor,
    name.length,
    0, // checksum, of the other kind of archive only
  ];
  const start = Buffer.from(`070701${fields.map(field => field.toString(16).padStart(8, '0')).join('')}`);
  chunks.push(start, name, padding(start.length + name.length));
}

function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}

function checkPaths(entries: readonly CpioEntry[]): void {
  const seen = new Set<string>();
  const directories = new Set<string>();
  for (const { kind, path } of entries) {
    const parts = path.split('/');
    const bad = parts.some(part => part === '' || part === '.' || part === '..') || path.includes('\0');
    if (bad) throw new RangeError(`cpio: '${path}' is not a path below the root`);
    if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
      throw new RangeError(`cpio: a path has more than ${MAX_PATH_BYTES} bytes: '${path.slice(0, 80)}…'`);
    }
    const parent = parts.slice(0, -1).join('/');
    if (parent !== '' && !directories.has(parent))
      throw new RangeError(`cpio: '${path}' comes before its directory`);
    if (seen.has(path)) throw new RangeError(`cpio: '${path}' stands twice`);
    seen.add(path);
    if (kind === 'directory') directories.add(path);
  }
}
