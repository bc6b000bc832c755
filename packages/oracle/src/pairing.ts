/**
 * Which function or object of the module is which of the compiled units. The linker keeps symbols by the file they came
 * from, so that two units may have one name; a patched function is called in the module as it is in the kernel, which may be
 * with another number than in the unit.
 */
import type { Findings } from './findings.ts';
import type { JudgedUnit } from './judged-unit.ts';
import type { ListedObject, Spot } from './klp-arrays.ts';
import type { ObjectText, TextSymbol } from './object-text.ts';
import type { Part } from './unit-parts.ts';

export interface Pair extends Spot {
  readonly unit: JudgedUnit;
  readonly part: Part;
}

export class Pairing {
  readonly pairs: readonly Pair[];
  readonly #bySection = new Map<number, readonly Pair[]>();
  readonly #byPart = new Map<Part, Pair>();
  /** Of the wrapper and of modpost's source. */
  readonly #others = new Map<number, readonly TextSymbol[]>();

  constructor(pairs: readonly Pair[], others: readonly TextSymbol[]) {
    this.pairs = pairs;
    for (const pair of pairs) this.#byPart.set(pair.part, pair);
    for (const [section, own] of Map.groupBy(pairs, pair => pair.section)) this.#bySection.set(section, own);
    for (const [section, own] of Map.groupBy(others, symbol => symbol.place))
      if (typeof section === 'number') this.#others.set(section, own);
  }

  /** @returns the copy of a part, where the module has one */
  copyOf(part: Part): Pair | undefined {
    return this.#byPart.get(part);
  }

  /** @returns the copy that covers the place */
  at({ section, position }: Spot): Pair | undefined {
    return this.#bySection
      .get(section)
      ?.find(
        ({ position: start, part }) =>
          position >= start - part.lead && (position < start + part.size || position === start),
      );
  }

  /** @returns the symbol of the livepatch's frame (wrapper, modpost's source) that covers the place */
  frameAt({ section, position }: Spot): TextSymbol | undefined {
    return this.#others
      .get(section)
      ?.find(({ value, size }) => position >= value && position < value + Math.max(size, 1));
  }
}

/** @param listed - the functions that the module hands to livepatch */
export function pairWithUnits(
  module: ObjectText,
  units: readonly JudgedUnit[],
  listed: readonly ListedObject[],
  findings: Findings,
): Pairing {
  const unitOf = new Map<string | undefined, JudgedUnit>();
  for (const unit of units)
    if (unit.question.linkedAs !== undefined) unitOf.set(unit.question.linkedAs, unit);
  const handedOver = new Set(
    listed.flatMap(({ functions }) => functions.map(({ newFunction }) => spotKey(newFunction))),
  );
  const pairs: Pair[] = [];
  const others: TextSymbol[] = [];
  for (const symbol of module.symbols) {
    const { name, place, value, type, bind, file } = symbol;
    if (typeof place !== 'number' || !['FUNC', 'OBJECT', 'NOTYPE'].includes(type)) continue;
    const unit = unitOf.get(file);
    if (unit === undefined || bind !== 'LOCAL') {
      // Aliases of parts for other units are no parts.
      if (type !== 'NOTYPE') others.push(symbol);
      continue;
    }
    // objtool names the padding before a function (--prefix).
    if (name.startsWith('__pfx_')) continue;
    // The key that silenced tracepoints hang on; module-judge.ts looks at who uses it.
    if (name === 'kstitch_never') continue;
    const spot = { section: place, position: value };
    const part = partOf(unit, symbol, handedOver.has(spotKey(spot)));
    if (part === undefined) {
      findings.add(unit, name, undefined, `the module has '${name}', which the compiled unit does not have`);
    } else pairs.push({ ...spot, unit, part });
  }
  return new Pairing(pairs, others);
}

function partOf(unit: JudgedUnit, { name, size, type }: TextSymbol, isHandedOver: boolean): Part | undefined {
  const old = unit.question.patched.find(({ oldName }) => oldName === name);
  const linkedName = isHandedOver && old !== undefined ? old.name : name;
  const found = unit.after.unit.named(linkedName);
  const candidates = found.length > 0 || old === undefined ? found : unit.after.unit.named(old.name);
  const kind = type === 'FUNC' ? 'function' : 'object';
  const fitting = candidates.filter(part => type === 'NOTYPE' || part.kind === kind);
  return fitting.find(part => part.size === size) ?? fitting[0];
}

export function spotKey({ section, position }: Spot): string {
  return `${section}:${position}`;
}
