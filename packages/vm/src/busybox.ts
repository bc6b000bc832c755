/** The one program inside the virtual machine: a busybox that needs no shared library. */
import { readFile } from 'node:fs/promises';
import { readElf } from '@kstitch/elf/read';
import { KstitchError } from '@kstitch/report/error';

/** Where Debian's busybox-static has it, with and without the merged /usr. */
const places = ['/usr/bin/busybox', '/bin/busybox'];

/** `p_type` of the segment that names the dynamic loader. */
const PT_INTERP = 3;

/**
 * @returns the bytes of a statically linked busybox of this machine
 * @throws KstitchError - `vm-busybox-missing`: there is none, or one that is dynamically linked (Debian's package `busybox`)
 */
export async function readBusybox(candidates: readonly string[] = places): Promise<Uint8Array> {
  const notes: string[] = [];
  for (const path of candidates) {
    const bytes = await readFile(path).catch(() => undefined);
    if (bytes === undefined) {
      notes.push(`'${path}' is not there`);
      continue;
    }
    const { segments } = readElf(bytes, path);
    if (segments.some(({ p_type }) => p_type === PT_INTERP)) {
      notes.push(`'${path}' is dynamically linked`);
      continue;
    }
    return bytes;
  }
  throw new KstitchError('vm-busybox-missing', 'find a statically linked busybox: none is installed', {
    notes,
  });
}
