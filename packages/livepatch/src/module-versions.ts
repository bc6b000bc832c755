import type { ElfFile } from '@kstitch/elf/model';
import { KstitchError } from '@kstitch/report/error';

/** In bytes: `struct modversion_info` (include/linux/module.h), a long and a name. */
const entrySize = 64;
const nameOffset = 8;

/**
 * @returns the CRC of each exported symbol that the module was built with (CONFIG_MODVERSIONS); undefined when the
 *   module has no versions
 * @throws KstitchError - `elf-malformed` when `__versions` is not made of whole entries
 */
export function readModuleVersions(file: ElfFile): ReadonlyMap<string, number> | undefined {
  const section = file.sections.find(({ name }) => name === '__versions');
  if (section === undefined) return undefined;
  const { bytes } = section;
  if (bytes.length % entrySize !== 0)
    throw new KstitchError(
      'elf-malformed',
      `cannot read '__versions' of '${file.what}': ${bytes.length} bytes, entries have ${entrySize}`,
    );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const versions = new Map<string, number>();
  for (let at = 0; at < bytes.length; at += entrySize) {
    const name = bytes.subarray(at + nameOffset, at + entrySize);
    const end = name.indexOf(0);
    const text = Buffer.from(end < 0 ? name : name.subarray(0, end)).toString('latin1');
    versions.set(text, view.getUint32(at, file.header.byteOrder === 'little'));
  }
  return versions;
}
