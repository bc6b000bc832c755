/**
 * What the module hands to livepatch: `struct klp_patch`, its objects and their functions (include/linux/livepatch.h).
 *
 * The sizes of the structures differ from kernel to kernel. An array says them itself: it has one element more than it has
 * pointers to functions, and the last one is empty.
 */
import type { ObjectText, TextRelocation, TextSymbol } from './object-text.ts';

/** A place in the module. */
export interface Spot {
  readonly section: number;
  readonly position: number;
}

export interface ListedFunction {
  readonly oldName: string;
  readonly oldSympos: number;
  readonly newFunction: Spot;
}

export interface ListedObject {
  /** `vmlinux` where the structure has no name. */
  readonly name: string;
  readonly functions: readonly ListedFunction[];
}

export interface ListedPatch {
  readonly objects: readonly ListedObject[];
  /** What livepatch could not follow. */
  readonly problems: readonly string[];
}

/** Offset of klp_func.new_func and of klp_object.funcs, both behind one pointer; klp_patch.objs is behind one too. */
const secondPointer = 8;
/** Offset of klp_func.old_sympos. */
const symposOffset = 16;

/** @returns what a relocation leads to in the module; undefined where that is not in the module */
export function spotOf({ symbol, addend }: TextRelocation): Spot | undefined {
  return typeof symbol.place === 'number'
    ? { section: symbol.place, position: symbol.value + addend }
    : undefined;
}

export function readKlpArrays(module: ObjectText): ListedPatch {
  const problems: string[] = [];
  const objects: ListedObject[] = [];
  const objectArray = findObjectArray(module);
  if (objectArray === undefined)
    return { objects, problems: ['nothing in it looks like a struct klp_patch'] };

  const pointers = elements(module, objectArray, relocation => {
    const spot = spotOf(relocation);
    return spot !== undefined && module.section(spot.section).flags.includes('W');
  });
  if (pointers === undefined) return { objects, problems: ['its array of objects has gaps'] };
  for (const { start, pointer } of pointers) {
    const named = relocationAt(module, objectArray.place, start);
    const name = named === undefined ? 'vmlinux' : stringAt(module, named);
    const array = symbolAround(module, spotOf(pointer));
    const functions = array === undefined ? undefined : readFunctions(module, array);
    if (functions === undefined) problems.push(`its array of functions of '${name}' has gaps`);
    objects.push({ name, functions: functions ?? [] });
  }
  return { objects, problems };
}

function readFunctions(module: ObjectText, array: TextSymbol): ListedFunction[] | undefined {
  const found = elements(module, array, relocation => {
    const spot = spotOf(relocation);
    return spot !== undefined && module.section(spot.section).flags.includes('X');
  });
  if (found === undefined) return undefined;
  const functions: ListedFunction[] = [];
  for (const { start, pointer } of found) {
    const name = relocationAt(module, array.place, start);
    const newFunction = spotOf(pointer);
    if (name === undefined || newFunction === undefined) return undefined;
    const sympos = module.bytes(module.section(Number(array.place)), start + symposOffset, 8);
    functions.push({
      oldName: stringAt(module, name),
      oldSympos: sympos.length === 8 ? Number(sympos.readBigUInt64LE()) : 0,
      newFunction,
    });
  }
  return functions;
}

/** The patch is the one structure with a pointer to the module itself at its start. */
function findObjectArray(module: ObjectText): TextSymbol | undefined {
  for (const section of module.sections) {
    if (section.name === '.gnu.linkonce.this_module' || !section.flags.includes('W')) continue;
    for (const { symbol, offset } of module.relocations(section.index)) {
      if (symbol.name !== '__this_module') continue;
      const objects = relocationAt(module, section.index, offset + secondPointer);
      if (objects !== undefined) return symbolAround(module, spotOf(objects));
    }
  }
  return undefined;
}

/**
 * @param isPointer - whether a relocation is the second pointer of an element
 * @returns the elements before the empty one; undefined when they do not follow each other from the start
 */
function elements(
  module: ObjectText,
  array: TextSymbol,
  isPointer: (relocation: TextRelocation) => boolean,
): { readonly start: number; readonly pointer: TextRelocation }[] | undefined {
  const pointers = module.relocationsIn(Number(array.place), array.value, array.size).filter(isPointer);
  // Callbacks are pointers to functions too, but they stand in another array, or behind the second pointer.
  const size = array.size / (pointers.length + 1);
  if (!Number.isInteger(size)) return undefined;
  const found = pointers.map((pointer, i) => ({ start: array.value + i * size, pointer }));
  return found.every(({ start, pointer }) => pointer.offset === start + secondPointer) ? found : undefined;
}

function relocationAt(
  module: ObjectText,
  section: number | string,
  offset: number,
): TextRelocation | undefined {
  return module.relocationsIn(Number(section), offset, 1)[0];
}

function symbolAround(module: ObjectText, spot: Spot | undefined): TextSymbol | undefined {
  return module.symbols.find(
    symbol =>
      symbol.type === 'OBJECT' &&
      symbol.place === spot?.section &&
      symbol.value <= spot.position &&
      spot.position < symbol.value + symbol.size,
  );
}

function stringAt(module: ObjectText, relocation: TextRelocation): string {
  const spot = spotOf(relocation);
  if (spot === undefined) return '';
  const section = module.section(spot.section);
  const bytes = module.bytes(section, spot.position, section.size);
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? 0 : end);
}
