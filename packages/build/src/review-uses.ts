import { join } from 'node:path';
import { x86_64 } from '@kstitch/arch/x86-64';
import { readElf } from '@kstitch/elf/read';
import { readPerhapsCompressed } from '@kstitch/host/compressed-file';
import { VMLINUX } from '@kstitch/livepatch/plan';
import type { Context } from '@kstitch/report/context';
import { findUsesInModule } from '@kstitch/review/module-uses';
import { countUses, type FunctionUse, type FunctionUses } from '@kstitch/review/shipped-uses';
import { findUsesInVmlinux } from '@kstitch/review/vmlinux-uses';
import { openImportIndex } from './kernel/import-index.ts';
import type { ShippedKernel } from './kernel/load-kernel.ts';

/** A function of the running kernel. */
export interface ShippedFunction {
  readonly object: string;
  readonly name: string;
  /** As livepatch counts; undefined where nobody said, and then it has to be the only one of its name. */
  readonly sympos: number | undefined;
}

/** @returns who uses each function, for those that are told from their namesakes */
export async function findShippedUses(
  context: Context,
  kernel: ShippedKernel,
  functions: readonly ShippedFunction[],
): Promise<ReadonlyMap<ShippedFunction, FunctionUses>> {
  const { kallsyms } = kernel;
  const { symvers } = kernel.world;
  const uses = new Map<ShippedFunction, Omit<FunctionUse, 'sites'>[]>();
  const addresses = new Map<ShippedFunction, bigint>();
  for (const one of functions) {
    const { object, name } = one;
    if (object !== VMLINUX) continue;
    const candidates = kallsyms.named(name);
    const rank = rankOf(one, candidates.length);
    const symbol = rank === undefined ? undefined : candidates[rank - 1];
    if (symbol !== undefined) addresses.set(one, symbol.address);
  }
  if (addresses.size > 0) {
    const found = findUsesInVmlinux(kernel.image, kallsyms, [...addresses.values()], x86_64);
    for (const [one, address] of addresses) uses.set(one, [...(found.get(address) ?? [])]);
  }

  // A module is named in its own file, an export in those of all that import it.
  const isExported = ({ object, name }: ShippedFunction) => symvers.get(name)?.module === object;
  const importable = functions.filter(one => isExported(one) && (uses.has(one) || one.object !== VMLINUX));
  const imports = importable.length > 0 ? await openImportIndex(context, kernel) : undefined;
  const importers = new Map(importable.map(one => [one, new Set(imports?.modulesImporting(one.name))]));
  for (const [name, path] of kernel.modulePaths) {
    const wanted = functions.filter(one => one.object === name || importers.get(one)?.has(name) === true);
    if (wanted.length === 0) continue;
    context.signal.throwIfAborted();
    const bytes = await readPerhapsCompressed(join(kernel.kit.paths.modulesDirectory, path), context.signal);
    const named = wanted.filter(one =>
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(`\0${one.name}\0`),
    );
    if (named.length === 0) continue;
    const file = readElf(bytes, path);
    for (const one of named) {
      const own = one.object === name;
      const count = own ? file.symbols.filter(s => s.name === one.name && s.section !== undefined).length : 1;
      const rank = own ? rankOf(one, count) : 0;
      if (rank === undefined) continue;
      const list = uses.get(one) ?? [];
      uses.set(one, list);
      list.push(...findUsesInModule(file, name, one.name, rank, x86_64));
    }
  }
  return new Map([...uses].map(([one, list]) => [one, countUses(list, isExported(one))]));
}

/** @returns which of its namesakes it is, from 1; undefined where that is open */
function rankOf({ sympos }: ShippedFunction, count: number): number | undefined {
  if (count === 0) return undefined;
  if (sympos !== undefined && sympos > 0) return sympos <= count ? sympos : undefined;
  return count === 1 ? 1 : undefined;
}
