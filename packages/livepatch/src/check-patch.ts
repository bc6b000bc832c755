import { SHN } from '@kstitch/elf/constants';
import { readModinfo } from '@kstitch/kernel/modinfo';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { findKernelSymbol } from './kernel-symbols.ts';
import type { KernelWorld } from './kernel-world.ts';
import { decodeKlpPatch } from './klp-arrays.ts';
import { isKlpSymbolName, type KlpSymbol, parseKlpSymbol } from './klp-names.ts';
import { type LivepatchPlan, VMLINUX } from './plan.ts';
import type { RelocatedModule } from './relocated-module.ts';

/** Whether livepatch will find every function it is to patch and every symbol that the new code refers to. */
export function checkPatch(module: RelocatedModule, plan: LivepatchPlan, world: KernelWorld): Diagnostic[] {
  return [
    ...checkPlanned(module, plan),
    ...checkRequested(module, plan),
    ...checkObjects(plan, world),
    ...checkFunctions(plan, world),
    ...checkKlpSymbols(module, plan, world),
    ...checkGates(module, plan, world),
  ];
}

/** The arrays in the module against the plan, both ways. */
function checkPlanned({ file }: RelocatedModule, plan: LivepatchPlan): Diagnostic[] {
  const show = (object: string, name: string, sympos: number, newName: string) =>
    JSON.stringify([object, name, sympos, newName]);
  const planned = new Map(
    plan.objects.flatMap(({ name: object, functions }) =>
      functions.map(
        f => [show(object, f.oldName, f.oldSympos, f.oldName), { object, symbol: f.oldName }] as const,
      ),
    ),
  );
  const unplanned: Diagnostic[] = [];
  for (const { name: object, functions } of decodeKlpPatch(file)?.objects ?? []) {
    for (const { name, sympos, newName } of functions) {
      if (planned.delete(show(object, name, sympos, newName))) continue;
      const text = `the module patches '${name}', sympos ${sympos}, of '${object}' with '${newName}', which is not planned`;
      unplanned.push(diagnostic('livepatch-plan-unmet', { object, symbol: name }, text));
    }
  }
  const missing = [...planned.values()].map(place =>
    diagnostic(
      'livepatch-plan-unmet',
      place,
      `the module does not patch '${place.symbol}' of '${place.object}' as planned`,
    ),
  );
  return [...missing, ...unplanned];
}

/** Callbacks and system states in the module against the plan, both ways. */
function checkRequested({ file }: RelocatedModule, plan: LivepatchPlan): Diagnostic[] {
  const callbackText = (object: string, kind: string, name: string) =>
    `calls ${name}() as ${kind} callback of '${object}'`;
  const stateText = (id: number, version: number) => `names system state ${id} with version ${version}`;
  const planned = new Set([
    ...plan.objects.flatMap(({ name: object, callbacks }) =>
      callbacks.map(({ kind, name }) => callbackText(object, kind, name)),
    ),
    ...plan.states.map(({ id, version }) => stateText(id, version)),
  ]);
  const decoded = decodeKlpPatch(file);
  const found = new Set([
    ...(decoded?.objects ?? []).flatMap(({ name: object, callbacks }) =>
      callbacks.map(({ kind, name }) => callbackText(object, kind, name)),
    ),
    ...(decoded?.states ?? []).map(({ id, version }) => stateText(id, version)),
  ]);
  const unmet = (text: string) => diagnostic('livepatch-plan-unmet', { object: plan.moduleName }, text);
  return [
    ...[...planned]
      .filter(text => !found.has(text))
      .map(text => unmet(`no part of the module ${text}, as planned`)),
    ...[...found]
      .filter(text => !planned.has(text))
      .map(text => unmet(`the module ${text}, which is not planned`)),
  ];
}

/** An object that has no functions to be looked up in it: is it there at all? */
function checkObjects(plan: LivepatchPlan, world: KernelWorld): Diagnostic[] {
  return plan.objects.flatMap(({ name, functions }) => {
    if (name === VMLINUX || functions.length > 0 || world.shippedModule(name) !== undefined) return [];
    const text = `kernel ${world.release} ships no module '${name}'`;
    return [diagnostic('livepatch-object-unknown', { object: name }, text)];
  });
}

function checkFunctions(plan: LivepatchPlan, world: KernelWorld): Diagnostic[] {
  return plan.objects.flatMap(({ name: object, functions }) =>
    functions.flatMap(({ oldName: name, oldSympos: sympos, unit }) => {
      const place = { object, unit, symbol: `${name}()` };
      const found = findKernelSymbol(world, { object, name, sympos });
      if ('code' in found) return [{ ...found, place }];
      if (!found.isFunction)
        return [
          diagnostic('livepatch-function-unknown', place, `'${name}' of '${object}' is not a function`),
        ];
      if (!found.isTraceable())
        return [
          diagnostic(
            'livepatch-function-untraceable',
            place,
            `'${object}' has no ftrace site at the start of '${name}'`,
          ),
        ];
      return [];
    }),
  );
}

function checkKlpSymbols({ file }: RelocatedModule, plan: LivepatchPlan, world: KernelWorld): Diagnostic[] {
  const keyOf = ({ object, name, sympos }: KlpSymbol) => `${object} ${name} ${sympos}`;
  const planned = new Set(plan.references.map(keyOf));
  return file.symbols.flatMap(({ name, st_shndx }) => {
    const marked = st_shndx === SHN.LIVEPATCH;
    if (!marked && !isKlpSymbolName(name)) return [];
    const symbol = parseKlpSymbol(name);
    if (symbol === undefined || !marked) {
      const what = marked ? 'is no name of a klp symbol' : 'is not marked as a klp symbol (SHN_LIVEPATCH)';
      return [diagnostic('livepatch-klp-symbol-malformed', { symbol: name }, `'${name}' ${what}`)];
    }
    if (!planned.has(keyOf(symbol))) {
      const place = { object: symbol.object, symbol: symbol.name };
      return [
        diagnostic('livepatch-plan-unmet', place, `the module looks up '${name}', which is not planned`),
      ];
    }
    const found = findKernelSymbol(world, symbol);
    return 'code' in found ? [found] : [];
  });
}

/** Livepatch applies the relocations of the objects it patches; nobody would apply those of another. */
function checkGates(
  { file, groups }: RelocatedModule,
  plan: LivepatchPlan,
  world: KernelWorld,
): Diagnostic[] {
  const patched = new Set(plan.objects.map(({ name }) => name));
  return groups.flatMap(({ gate, source, entries }) => {
    if (gate === undefined || gate === VMLINUX) return [];
    const malformed = (text: string) =>
      diagnostic('livepatch-klp-symbol-malformed', { object: gate, section: source.name }, text);
    if (!patched.has(gate))
      return [malformed(`'${source.name}' waits for '${gate}', which the livepatch does not patch`)];
    const holders = new Set(
      entries.flatMap(({ r_sym }) => parseKlpSymbol(file.symbols[r_sym]?.name ?? '')?.object ?? []),
    );
    const loadedBefore = neededBy(gate, world);
    return [...holders]
      .filter(holder => holder !== VMLINUX && !loadedBefore.has(holder))
      .map(holder =>
        malformed(`'${source.name}' needs '${holder}', which need not be loaded when '${gate}' is`),
      );
  });
}

/** @returns the module and all that must be loaded before it */
function neededBy(module: string, world: KernelWorld): Set<string> {
  const needed = new Set([module]);
  for (const name of needed) {
    const file = world.shippedModule(name);
    // A set's iteration goes on to what is added on the way.
    for (const other of file === undefined ? [] : readModinfo(file).depends) needed.add(other);
  }
  return needed;
}
