/** Who uses a function in the kernel as it is shipped: callers, and whoever holds its address. */

export interface FunctionUses {
  /** Functions that call or jump to it, most sites first. A function that has it inlined is none. */
  readonly callers: readonly FunctionUse[];
  /** Code that makes its address, and data that holds it. */
  readonly holders: readonly FunctionUse[];
  /** The object that exports it, where one does. */
  readonly exported: boolean;
}

export interface FunctionUse {
  readonly object: string;
  /** A function; of data the object with an offset: `ext4_file_operations+0x18`. */
  readonly name: string;
  readonly kind: 'call' | 'jump' | 'code' | 'data';
  readonly sites: number;
}

/** @returns the uses, equal ones counted */
export function countUses(uses: readonly Omit<FunctionUse, 'sites'>[], exported: boolean): FunctionUses {
  const counted = new Map<string, FunctionUse>();
  for (const use of uses) {
    const key = `${use.object} ${use.name} ${use.kind}`;
    counted.set(key, { ...use, sites: (counted.get(key)?.sites ?? 0) + 1 });
  }
  const list = [...counted.values()].sort(
    (a, b) =>
      b.sites - a.sites ||
      compareText(a.object, b.object) ||
      compareText(a.name, b.name) ||
      compareText(a.kind, b.kind),
  );
  return {
    callers: list.filter(({ kind }) => kind === 'call' || kind === 'jump'),
    holders: list.filter(({ kind }) => kind === 'code' || kind === 'data'),
    exported,
  };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
