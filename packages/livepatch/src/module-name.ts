import { KstitchError } from '@kstitch/report/error';
import { kernelLimits } from './kernel-limits.ts';

const prefix = 'kstitch_';
const hashDigits = 8;

/** In bytes: what is left for the slug between the prefix and the hash. */
export const MAX_SLUG_LENGTH = kernelLimits.moduleName - prefix.length - 1 - hashDigits;

/**
 * @param name - what the user calls the livepatch: `ext4-mballoc`, `CVE-2024-1086`
 * @returns the same in `[a-z0-9_]`: `ext4_mballoc`, `cve_2024_1086`
 * @throws KstitchError - `livepatch-name-invalid` when nothing is left of it, or too much
 */
export function slugOf(name: string): string {
  const slug = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_|_$/g, '');
  if (slug === '')
    throw new KstitchError(
      'livepatch-name-invalid',
      `cannot name a livepatch '${name}': it has no letter a-z and no digit`,
    );
  if (slug.length > MAX_SLUG_LENGTH)
    throw new KstitchError(
      'livepatch-name-invalid',
      `cannot name a livepatch '${name}': ${slug.length} characters, and a kernel module's name has room for ${MAX_SLUG_LENGTH}`,
    );
  return slug;
}

/**
 * The name that the kernel, sysfs and `/proc/modules` know a livepatch by. The hash tells two builds apart that the user
 * gave the same name, so that both can be loaded one after the other.
 *
 * @param slug - of {@link slugOf}
 * @param hashHex - hash of everything that went into the livepatch, at least 8 hexadecimal digits
 * @param taken - names of the kernel's own modules (modules.order and modules.builtin, `-` or `_`): the kernel finds a
 *   module by its name alone, and would find the wrong one
 * @returns `kstitch_<slug>_<8 hex>`, below MODULE_NAME_LEN
 * @throws KstitchError - `livepatch-name-taken`
 */
export function livepatchModuleName(slug: string, hashHex: string, taken: Iterable<string> = []): string {
  if (!/^[a-z0-9_]+$/.test(slug) || slug.length > MAX_SLUG_LENGTH)
    throw new RangeError(`'${slug}' is not a slug`);
  if (!/^[0-9a-f]{8,}$/.test(hashHex)) throw new RangeError(`'${hashHex}' is not a hash`);
  const name = `${prefix}${slug}_${hashHex.slice(0, hashDigits)}`;
  for (const other of taken) {
    if (other.replaceAll('-', '_') === name)
      throw new KstitchError(
        'livepatch-name-taken',
        `cannot name a livepatch '${name}': the kernel has a module of that name`,
      );
  }
  return name;
}
