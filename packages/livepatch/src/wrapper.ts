import type { CallbackKind } from '@kstitch/kernel/klp-callbacks';
import { KstitchError } from '@kstitch/report/error';
import { kernelLimits } from './kernel-limits.ts';
import {
  isNewFunctionAlias,
  type LivepatchPlan,
  MAX_STATE_NUMBER,
  type ObjectCallback,
  type PatchedObject,
  type SystemState,
  VMLINUX,
} from './plan.ts';

/** Where the wrapper's text lies; it is GPL-2.0-only, for it becomes part of a kernel module. Whoever does I/O reads it. */
export const wrapperTemplate: URL = new URL('../templates/wrapper.c', import.meta.url);

/** Where the header for authors of patches lies, by the name under which patched source includes it. GPL-2.0-only. */
export const authorHeader: { readonly name: string; readonly url: URL } = {
  name: 'kstitch.h',
  url: new URL('../templates/kstitch.h', import.meta.url),
};

export interface WrapperOptions {
  /** The contents of {@link wrapperTemplate}. */
  readonly template: string;
  /** Whether loading it replaces every livepatch that is active (`struct klp_patch`: replace). */
  readonly replace: boolean;
  /** One line for `modinfo`. */
  readonly description: string;
  /** Symbol namespaces of the exports that it links to. */
  readonly namespaces: readonly string[];
}

/**
 * The C source that makes a livepatch of the extracted objects: the arrays that `klp_enable_patch()` takes
 * (include/linux/livepatch.h) and the module's init and exit functions.
 *
 * @returns C source; the same plan gives the same text
 * @throws KstitchError - `livepatch-plan-invalid` when a name of the plan cannot stand in it, or nothing is patched
 */
export function renderWrapper(plan: LivepatchPlan, options: WrapperOptions): string {
  checkPlan(plan);
  const parts: Record<string, string> = {
    module: plan.moduleName,
    declarations: plan.objects.flatMap(declareAliases).join('\n'),
    functions: plan.objects.map(renderFunctions).join('\n\n'),
    objects: plan.objects.map(renderObject).join('\n'),
    states: plan.states.map(renderState).join('\n'),
    replace: String(options.replace),
    description: escapeCString(options.description),
    // MODULE_IMPORT_NS() takes a name until 6.12 and a string from 6.13 on; what it makes is the same.
    namespaces: options.namespaces
      .map(name => `MODULE_INFO(import_ns, "${escapeCString(name)}");`)
      .join('\n'),
  };
  return options.template.replaceAll(/@(\w+)@/g, (placeholder, name: string) => {
    const part = parts[name];
    if (part === undefined) throw planError(`the wrapper's template asks for '${placeholder}'`);
    return part;
  });
}

/** `struct klp_callbacks` gives the callbacks their types; a patched function's own does not matter. */
const callbackTypes = {
  pre_patch: 'int',
  post_patch: 'void',
  pre_unpatch: 'void',
  post_unpatch: 'void',
} as const satisfies Record<CallbackKind, string>;

function declareAliases({ functions, callbacks }: PatchedObject): string[] {
  const declarations = [
    ...functions.map(({ newSymbol }) => `extern void ${newSymbol}(void);`),
    ...callbacks.map(
      ({ kind, newSymbol }) => `extern ${callbackTypes[kind]} ${newSymbol}(struct klp_object *);`,
    ),
  ];
  // One function may be several callbacks.
  return [...new Set(declarations)];
}

function renderFunctions(object: PatchedObject, index: number): string {
  const entries = object.functions.map(
    ({ oldName, newSymbol, oldSympos }) =>
      `\t{\n\t\t.old_name = "${oldName}",\n\t\t.new_func = ${newSymbol},\n\t\t.old_sympos = ${oldSympos},\n\t},\n`,
  );
  return `static struct klp_func kstitch_functions_${index}[] = {\n${entries.join('')}\t{ }\n};`;
}

function renderObject(object: PatchedObject, index: number): string {
  const name = object.name === VMLINUX ? '' : `\t\t.name = "${object.name}",\n`;
  const callbacks = object.callbacks.map(renderCallback).join('');
  return `\t{\n${name}\t\t.funcs = kstitch_functions_${index},\n${callbacks}\t},`;
}

function renderCallback({ kind, newSymbol }: ObjectCallback): string {
  return `\t\t.callbacks.${kind} = ${newSymbol},\n`;
}

function renderState({ id, version }: SystemState): string {
  return `\t{ .id = ${id}UL, .version = ${version}U },`;
}

/**
 * Names of a plan become C source and section names: what the kernel could not parse is caught before it is compiled in.
 *
 * @throws KstitchError - `livepatch-plan-invalid`
 */
export function checkPlan(plan: LivepatchPlan): void {
  checkObjectName(plan.moduleName, 'name the livepatch');
  if (plan.objects.length === 0) throw planError('no object is patched');
  checkStates(plan.states);
  checkUnique(plan.objects, object => object.name, 'patched object');
  for (const object of plan.objects) {
    checkObjectName(object.name, 'patch object');
    if (object.functions.length === 0 && object.callbacks.length === 0 && plan.states.length === 0)
      throw planError(`no function of object '${object.name}' is patched`);
    checkCallbacks(object);
    checkUnique(object.functions, f => `${f.oldName},${f.oldSympos}`, `patched function of '${object.name}'`);
    for (const { oldName, oldSympos, newSymbol } of object.functions) {
      checkSymbolName(oldName);
      checkSympos(oldName, oldSympos);
      if (!isNewFunctionAlias(newSymbol)) throw planError(`'${newSymbol}' does not name a new function`);
    }
  }
  checkUnique(
    plan.objects.flatMap(object => object.functions),
    f => f.newSymbol,
    'new function',
  );
  checkUnique(plan.references, reference => reference.linkName, 'reference');
  for (const { object, name, sympos, gate } of plan.references) {
    checkObjectName(object, `look up '${name}' in object`);
    checkObjectName(gate, `relocate '${name}' with object`);
    checkSymbolName(name);
    checkSympos(name, sympos);
  }
}

function checkCallbacks(object: PatchedObject): void {
  checkUnique(object.callbacks, callback => callback.kind, `callback of '${object.name}'`);
  for (const { name, newSymbol } of object.callbacks) {
    checkSymbolName(name);
    if (!isNewFunctionAlias(newSymbol)) throw planError(`'${newSymbol}' does not name a new function`);
  }
}

function checkStates(states: readonly SystemState[]): void {
  checkUnique(states, state => String(state.id), 'system state');
  for (const { id, version } of states) {
    const valid = [id, version].every(n => Number.isInteger(n) && n >= 0 && n <= MAX_STATE_NUMBER);
    if (!valid || id === 0) throw planError(`${id}, version ${version}, is not a system state`);
  }
}

function checkObjectName(name: string, action: string): void {
  // A dot ends the object's name in a klp symbol; the kernel writes '-' of a file name as '_' before it compares.
  if (!/^[A-Za-z0-9_]+$/.test(name) || name.length > kernelLimits.moduleName)
    throw planError(`cannot ${action} '${name}': not a module's name`);
}

function checkSymbolName(name: string): void {
  if (!/^[A-Za-z0-9_.$]+$/.test(name) || name.length > kernelLimits.symbolName)
    throw planError(`'${name}' is not a symbol's name`);
}

function checkSympos(name: string, sympos: number): void {
  if (!Number.isSafeInteger(sympos) || sympos < 0)
    throw planError(`sympos ${sympos} of '${name}' is not a rank`);
}

function checkUnique<T>(items: readonly T[], keyOf: (item: T) => string, what: string): void {
  const seen = new Set<string>();
  for (const item of items) {
    const key = keyOf(item);
    if (seen.has(key)) throw planError(`${what} '${key}' is listed twice`);
    seen.add(key);
  }
}

function planError(text: string): KstitchError {
  return new KstitchError('livepatch-plan-invalid', `cannot make a livepatch: ${text}`);
}

/** Octal escapes end after three digits, so that no digit of the text can be read as part of one. */
function escapeCString(text: string): string {
  let escaped = '';
  for (const byte of new TextEncoder().encode(text)) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c && byte !== 0x3f;
    escaped += plain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, '0')}`;
  }
  return escaped;
}
