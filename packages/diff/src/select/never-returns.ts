/**
 * Which functions of the running kernel do not return.
 *
 * objtool must know where code ends. Of a call into the same object it looks at the called function; of another it knows
 * names (tools/objtool: global_noreturns[]), and never those of weak symbols. In a livepatch the static function of the
 * shipped unit is another object's weak symbol, and so is do_exit(). So the shipped code is asked here, as objtool asks
 * (check.c: __dead_end_function()): what holds neither a return nor a jump to anything that returns does not return.
 */
import type { Architecture, RelocationKind } from '@kstitch/arch/architecture';
import { Flow, noTarget } from '@kstitch/arch/instructions';
import type { KernelSymbols } from '../references.ts';
import type { Address, ShippedObject } from '../run-pre/shipped-object.ts';
import type { Resolution } from './selection.ts';

/** Bytes of a function at most; the largest of 6.1 has some 30 thousand. */
const maxSize = 0x1_0000;

/** Functions that a sibling call may lead through, as in objtool. */
const maxDepth = 5;

/** What a livepatch calls in the running kernel. */
export class Callees {
  readonly #symbols: KernelSymbols;
  readonly #arch: Architecture;
  readonly #known = new Map<string, boolean>();

  constructor(symbols: KernelSymbols, arch: Architecture) {
    this.#symbols = symbols;
    this.#arch = arch;
  }

  /** @returns whether what the reference means certainly never returns; of exports objtool knows that itself */
  neverReturns(resolution: Resolution): boolean {
    if (resolution.kind !== 'klp') return false;
    const { object, name, sympos } = resolution;
    const holder = [this.#symbols.shipped, this.#symbols.vmlinux].find(shipped => shipped.name === object);
    const address = holder?.named(name)[Math.max(0, sympos - 1)];
    if (holder === undefined || address === undefined) return false;
    const key = `${object} ${address}`;
    const known = this.#known.get(key) ?? neverReturns(holder, address, this.#arch);
    this.#known.set(key, known);
    return known;
  }
}

/** @returns whether the function at that address certainly never returns to its caller */
export function neverReturns(
  shipped: ShippedObject,
  address: Address,
  arch: Architecture,
  depth = 0,
): boolean {
  const distance = arch.relocation(arch.distanceType);
  if (distance === undefined) return false;
  const names = shipped.namesAt(address);
  const cold = names.flatMap(name => shipped.named(`${name}.cold`));
  const parts = [address, ...cold].map(start => ({ start, end: endOf(shipped, start) }));
  return parts.every(({ start, end }) => {
    const code = shipped.read(start, end - start);
    if (code === undefined || code.length === 0) return false;
    const instructions = arch.decode(code);
    let last: number = Flow.next;
    for (let i = 0; i < instructions.count; i += 1) {
      const from = instructions.starts[i] ?? 0;
      const length = instructions.lengths[i] ?? 0;
      const flow = instructions.flows[i] ?? Flow.return;
      if (flow === Flow.return) return false;
      if (!arch.isPadding(code.subarray(from, from + length))) last = flow;
      if (flow !== Flow.jump && flow !== Flow.branch) continue;
      const to = branchTarget(shipped, start + from, length, start, instructions.targets[i], distance);
      if (to === undefined) return false;
      if (parts.some(part => to >= part.start && to < part.end)) continue;
      const entered = shipped.namesAt(to);
      // Thunks are written over at boot: what they do is in no file.
      if (
        depth === maxDepth ||
        entered.length === 0 ||
        entered.some(name => name.startsWith(arch.thunkPrefix))
      )
        return false;
      if (!neverReturns(shipped, to, arch, depth + 1)) return false;
    }
    // Else the symbol table has a name in the middle of it.
    return last === Flow.call || last === Flow.jump || last === Flow.other;
  });
}

/** The symbol table has no sizes: a function reaches to the next symbol. */
function endOf(shipped: ShippedObject, start: Address): Address {
  return shipped.strictlyBetween(start, start + maxSize)[0]?.address ?? start;
}

/** @returns where a jump leads, or undefined where only the running machine knows or another object does */
function branchTarget(
  shipped: ShippedObject,
  place: Address,
  length: number,
  base: Address,
  target: number | undefined,
  distance: RelocationKind,
): Address | undefined {
  if (target === undefined || target === noTarget) return undefined;
  // A short one leads nowhere else; in a module, a long one may be relocated.
  const field = place + length - distance.size;
  const pointed = length > distance.size ? shipped.pointedTo(field, distance) : undefined;
  if (pointed === undefined) return base + target;
  return pointed.kind === 'symbol' ? undefined : pointed.address + distance.size;
}
