import { findPeers, noPeers, readGlobals, type UnitGlobals } from '@kstitch/diff/peers';
import { readElf } from '@kstitch/elf/read';
import { VMLINUX } from '@kstitch/livepatch/plan';
import type { Context } from '@kstitch/report/context';
import type { ChangedUnit } from './compile/compile-changed.ts';
import { loadCompileDatabase } from './compile/compile-database.ts';
import type { UnitCommand } from './compile/unit-command.ts';
import type { ShippedKernel } from './kernel/load-kernel.ts';
import type { Kit } from './kit/kit.ts';
import { openSourceIndex } from './patch/source-index.ts';

/** What the changed units of each object give each other: new globals. */
export async function findAllPeers(context: Context, kernel: ShippedKernel, changed: readonly ChangedUnit[]) {
  const globals = new Map<string, UnitGlobals[]>();
  for (const unit of changed) {
    const { command } = unit;
    const { before, after } = await unit.load();
    const read = readGlobals(
      command.source,
      readElf(before, `${command.object} before`),
      readElf(after, `${command.object} after`),
    );
    for (const object of objectsOf(command)) globals.set(object, [...(globals.get(object) ?? []), read]);
  }
  const isRemoving = [...globals.values()].flat().some(({ removed }) => removed.size > 0);
  const weakNames = isRemoving ? await readWeakNames(context, kernel.kit) : new Set<string>();
  const found = new Map<string, ReturnType<typeof findPeers>>();
  for (const [object, list] of globals) {
    const shipped = object === VMLINUX ? kernel.vmlinux : await kernel.module(object);
    const isShipped = (name: string) => shipped.named(name).some(address => shipped.isGlobal(name, address));
    found.set(
      object,
      findPeers(list, isShipped, name => weakNames.has(name)),
    );
  }
  return {
    peersOf: (object: string) => found.get(object)?.peers ?? noPeers,
    diagnostics: [...found.values()].flatMap(({ diagnostics }) => diagnostics),
  };
}

async function readWeakNames(context: Context, kit: Kit): Promise<ReadonlySet<string>> {
  const { weakNames } = await openSourceIndex(context, kit, await loadCompileDatabase(kit));
  return weakNames;
}

/** @returns the objects that a unit is part of */
export function objectsOf({ owner }: UnitCommand): readonly string[] {
  return owner === 'vmlinux' ? [VMLINUX] : owner;
}
