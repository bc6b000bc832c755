import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import type { LivepatchPlan } from './plan.ts';

/**
 * Units are judged each for itself; what their authors ask for comes together in the plan, and there is room for one
 * callback of a kind in an object (`struct klp_callbacks`) and for one version of a system state in a livepatch.
 *
 * @returns a refusal for each that is asked for twice, naming both places
 */
export function findConflicts(plan: LivepatchPlan): Diagnostic[] {
  const callbacks = plan.objects.flatMap(object =>
    repeated(object.callbacks, callback => callback.kind).map(([first, second]) => {
      const { kind, name, unit } = second;
      const text = `'${object.name}' has two ${kind} callbacks: ${first.name}() in ${first.unit} and ${name}() in ${unit}`;
      return diagnostic('callback-twice', { object: object.name, unit, symbol: `${name}()` }, text);
    }),
  );
  const states = repeated(plan.states, state => state.id).map(([first, { id, version, unit }]) => {
    const text = `system state ${id} is named twice: version ${first.version} in ${first.unit} and version ${version} in ${unit}`;
    return diagnostic('state-twice', { unit }, text);
  });
  return [...callbacks, ...states];
}

/** @returns each item whose key an earlier one has, with the first of that key */
function repeated<T>(items: readonly T[], keyOf: (item: T) => string | number): [first: T, second: T][] {
  const firsts = new Map<string | number, T>();
  return items.flatMap((item): [T, T][] => {
    const first = firsts.get(keyOf(item));
    if (first !== undefined) return [[first, item]];
    firsts.set(keyOf(item), item);
    return [];
  });
}
