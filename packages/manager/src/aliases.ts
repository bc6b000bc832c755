/**
 * Functions that have several names. A livepatch says one of them, and so does sysfs; whatever the kernel writes of an address
 * has the first of its names (kernel/kallsyms.c: get_symbol_pos()). `__x64_sys_getpid` is `__do_sys_getpid` to ftrace.
 */
import type { FunctionName } from './function-name.ts';
import { limits } from './limits.ts';
import type { Machine } from './machine.ts';

interface Line {
  /** Hexadecimal; zeros where `kernel.kptr_restrict` hides it. */
  readonly address: string;
  readonly id: FunctionName;
}

/**
 * @param functions - with their places among those of one name in their object, from 1 (0: it is the only one)
 * @returns the other names of each, in their order; undefined of one whose address is hidden (`kernel.kptr_restrict` is 2), so that
 *   nobody knows
 */
export function readAliases(
  machine: Machine,
  functions: readonly (FunctionName & { readonly sympos: number })[],
): readonly (readonly FunctionName[] | undefined)[] {
  if (functions.length === 0) return [];
  const addresses = functions.map((): string[] => []);
  for (const { address, id } of kallsyms(machine))
    functions.forEach(({ object, name }, index) => {
      if (id.name === name && id.object === object) addresses[index]?.push(address);
    });
  const aliases = new Map<string, FunctionName[]>();
  const places = functions.map(({ sympos }, index) => addresses[index]?.[Math.max(sympos, 1) - 1]);
  for (const place of places) if (place !== undefined && !isHidden(place)) aliases.set(place, []);
  if (aliases.size > 0) for (const { address, id } of kallsyms(machine)) aliases.get(address)?.push(id);
  return functions.map(({ object, name }, index) => {
    const place = places[index];
    if (place === undefined) return [];
    return aliases.get(place)?.filter(id => id.name !== name || id.object !== object);
  });
}

function isHidden(address: string): boolean {
  return /^0*$/.test(address);
}

function* kallsyms(machine: Machine): Generator<Line> {
  for (const line of machine.lines('/proc/kallsyms', limits.kallsyms)) {
    // ffffffffc05ed000 t nft_do_chain	[nf_tables]
    const [address = '', , name = '', module = ''] = line.split(/[ \t]/);
    yield { address, id: { object: module === '' ? 'vmlinux' : module.slice(1, -1), name } };
  }
}
