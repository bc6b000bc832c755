/**
 * Module.symvers: what the kernel and its modules export, with the checksum that CONFIG_MODVERSIONS compares on loading.
 *
 * One line a symbol, fields parted by tabs: CRC, name, module, kind of export, and since 5.4 the namespace (mostly
 * empty). Source: Documentation/kbuild/modules.rst ("Symbols and Module Versioning"), scripts/mod/modpost.c.
 */
import { KstitchError } from '@kstitch/report/error';
import { moduleNameOf } from './module-name.ts';

export interface ExportedSymbol {
  readonly name: string;
  readonly crc: number;
  /** `vmlinux`, or the module's name as the running kernel has it: `virtio_ring`. */
  readonly module: string;
  /** As in the file, a path below the kernel source without ending: `drivers/virtio/virtio_ring`. */
  readonly path: string;
  /** `EXPORT_SYMBOL`, or `EXPORT_SYMBOL_GPL`. */
  readonly kind: string;
  /** Undefined for a symbol outside of any namespace. */
  readonly namespace: string | undefined;
}

/**
 * @returns by name
 * @throws KstitchError - `kernel-text-file`, with the line's number
 */
export function parseSymvers(text: string): ReadonlyMap<string, ExportedSymbol> {
  const symbols = new Map<string, ExportedSymbol>();
  for (const [index, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const fail = (problem: string) =>
      new KstitchError('kernel-text-file', `cannot read Module.symvers line ${index + 1}: ${problem}`);
    const fields = line.split('\t');
    const [crc, name, path, kind, namespace] = fields;
    if (crc === undefined || !name || !path || !kind || fields.length > 5) {
      const count = fields.length === 1 ? '1 field' : `${fields.length} fields`;
      throw fail(`'${line.slice(0, 80)}' has ${count}, expected 4 or 5`);
    }
    if (!/^0x[0-9a-f]{1,8}$/i.test(crc)) throw fail(`'${crc.slice(0, 80)}' is not a checksum of 32 bits`);
    symbols.set(name, {
      name,
      crc: Number.parseInt(crc, 16),
      module: moduleNameOf(path),
      path,
      kind,
      namespace: namespace || undefined,
    });
  }
  return symbols;
}
