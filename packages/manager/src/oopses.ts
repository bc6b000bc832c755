import type { Machine } from './machine.ts';

/** Documentation/admin-guide/tainted-kernels.rst: the kernel died recently, an oops or a BUG. It stays set until the next boot. */
const taintDied = 1 << 7;

export interface Oopses {
  /** Documentation/ABI/testing/sysfs-kernel-oops_count; undefined for a kernel that has no such file. */
  readonly count: number | undefined;
  readonly died: boolean;
}

export function readOopses(machine: Machine): Oopses {
  const count = machine.read('/sys/kernel/oops_count');
  return {
    count: count === undefined ? undefined : Number(count),
    died: (Number(machine.read('/proc/sys/kernel/tainted') ?? 0) & taintDied) !== 0,
  };
}

/** @returns whether there was one in between; undefined when that cannot be told: one before hides it, and nobody counts */
export function hadOops(before: Oopses, now: Oopses): boolean | undefined {
  if (now.died && !before.died) return true;
  if (before.count !== undefined && now.count !== undefined) return now.count !== before.count;
  return before.died ? undefined : false;
}
