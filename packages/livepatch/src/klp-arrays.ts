/**
 * Reads the arrays that a livepatch hands to `klp_enable_patch()` out of its file (include/linux/livepatch.h: struct
 * klp_patch, klp_object, klp_callbacks, klp_func, klp_state).
 *
 * The structures' sizes differ from kernel to kernel, the beginnings of them do not. So no size is used: an element is
 * found by the relocations of its pointers, and an array ends where its symbol does. Modules that fill these structures
 * at run time (kpatch, klp-build) have nothing to read here.
 */
import { x86_64 } from '@kstitch/arch/x86-64';
import { hasFlag, SHF, SHT, STT } from '@kstitch/elf/constants';
import type { ElfFile, Relocation, Section } from '@kstitch/elf/model';
import { readRelocations, relocationSectionsOf } from '@kstitch/elf/relocations';
import { type CallbackKind, callbackKinds } from '@kstitch/kernel/klp-callbacks';
import { kernelLimits } from './kernel-limits.ts';
import { VMLINUX } from './plan.ts';

export interface DecodedPatch {
  readonly objects: readonly DecodedObject[];
  readonly states: readonly DecodedState[];
  /** Whether it replaces every livepatch that is active. */
  readonly replace: boolean;
}

export interface DecodedObject {
  /** `vmlinux` or a module's name. */
  readonly name: string;
  readonly functions: readonly DecodedFunction[];
  readonly callbacks: readonly DecodedCallback[];
}

export interface DecodedCallback {
  readonly kind: CallbackKind;
  /** The symbol of the function, empty without one. */
  readonly name: string;
}

export interface DecodedState {
  readonly id: number;
  readonly version: number;
}

export interface DecodedFunction {
  readonly name: string;
  readonly sympos: number;
  /** The symbol of the replacement, empty without one. */
  readonly newName: string;
}

/** Offsets of fields in bytes, the same since Linux 5.1. */
const klpFunc = { oldName: 0, newFunc: 8, oldSympos: 16 } as const;
const klpObject = { name: 0, funcs: 8, callbacks: 16 } as const;
const klpPatch = { mod: 0, objs: 8, states: 16, replace: 24 } as const;
/** The one structure whose size is needed: it has no pointers that are set in the file. */
const klpState = { id: 0, /** 4 bytes and padding. */ version: 8, size: 24 } as const;

/** @returns the first livepatch that the module describes statically, undefined when there is none */
export function decodeKlpPatch(file: ElfFile): DecodedPatch | undefined {
  const pointers = new Pointers(file);
  for (const { place } of pointers.to('__this_module')) {
    const member = (offset: number): Place => ({ ...place, offset: place.offset + offset });
    const objects = decodeObjects(pointers, pointers.at(member(klpPatch.objs)));
    const states = decodeStates(pointers, pointers.at(member(klpPatch.states)));
    // A livepatch may have an empty object for the sake of its states; other structures that name a module have neither.
    if (!objects.some(({ functions, callbacks }) => functions.length + callbacks.length + states.length > 0))
      continue;
    return {
      objects,
      states,
      replace: place.section.bytes[place.offset + klpPatch.replace] === 1,
    };
  }
  return undefined;
}

function decodeObjects(pointers: Pointers, array: Place | undefined): DecodedObject[] {
  const objects: DecodedObject[] = [];
  for (const pointer of pointers.within(array)) {
    // Of an object's pointers only `funcs`, which is always there, leads to what the kernel writes to; the name leads to
    // text, callbacks to code.
    if (!hasFlag(pointer.target.section.sh_flags, SHF.WRITE)) continue;
    const { section, offset } = pointer.place;
    const start = offset - klpObject.funcs;
    const name = pointers.at({ section, offset: start + klpObject.name });
    const functions = decodeFunctions(pointers, pointer.target);
    const callbacks = decodeCallbacks(pointers, { section, offset: start + klpObject.callbacks });
    objects.push({ name: name === undefined ? VMLINUX : (textAt(name) ?? ''), functions, callbacks });
  }
  return objects;
}

function decodeCallbacks(pointers: Pointers, { section, offset }: Place): DecodedCallback[] {
  return callbackKinds.flatMap((kind, i) => {
    const code = pointers.at({ section, offset: offset + i * 8 });
    return code === undefined ? [] : [{ kind, name: pointers.nameOf(code) }];
  });
}

function decodeStates(pointers: Pointers, array: Place | undefined): DecodedState[] {
  const states: DecodedState[] = [];
  if (array === undefined) return states;
  for (const { section, offset } of pointers.elements(array, klpState.size)) {
    const id = u64At(section, offset + klpState.id);
    if (id === 0) break;
    states.push({ id, version: u64At(section, offset + klpState.version) % 2 ** 32 });
  }
  return states;
}

function decodeFunctions(pointers: Pointers, array: Place): DecodedFunction[] {
  const functions: DecodedFunction[] = [];
  if (isCode(array.section)) return functions;
  for (const { place, target } of pointers.within(array)) {
    const { section, offset } = place;
    const code = pointers.at({ section, offset: offset + klpFunc.newFunc });
    const name = isCode(target.section) ? undefined : textAt(target);
    // An array begins with its first element: anything else at the place is no array of functions.
    if (code === undefined || !isCode(code.section) || name === undefined || name === '') {
      if (functions.length === 0) return functions;
      continue;
    }
    functions.push({
      name,
      sympos: u64At(section, offset + klpFunc.oldSympos),
      newName: pointers.nameOf(code),
    });
  }
  return functions;
}

/** A byte of a section: what a pointer points to, or where it is. */
interface Place {
  readonly section: Section;
  readonly offset: number;
}

interface Pointer {
  readonly place: Place;
  readonly target: Place;
}

/** The pointers in a module's data: 8-byte absolute relocations against something the module defines. */
class Pointers {
  readonly #file: ElfFile;
  /** Section header index → pointers, ascending by offset. */
  readonly #bySection = new Map<number, Pointer[]>();

  constructor(file: ElfFile) {
    this.#file = file;
    for (const [index, sections] of relocationSectionsOf(file)) {
      const section = file.sections[index];
      if (section === undefined || !hasFlag(section.sh_flags, SHF.ALLOC) || isCode(section)) continue;
      const pointers = sections
        .filter(relocations => relocations.sh_type === SHT.RELA)
        .flatMap(relocations => readRelocations(file, relocations))
        .flatMap(relocation => {
          const target = targetOf(file, relocation);
          return target === undefined ? [] : [{ place: { section, offset: relocation.r_offset }, target }];
        })
        .toSorted((a, b) => a.place.offset - b.place.offset);
      this.#bySection.set(index, pointers);
    }
  }

  at({ section, offset }: Place): Place | undefined {
    return this.#bySection.get(section.index)?.find(pointer => pointer.place.offset === offset)?.target;
  }

  /** @returns the pointers in the object that begins at `start` */
  within(start: Place | undefined): Pointer[] {
    if (start === undefined) return [];
    const end = this.#endOf(start);
    const pointers = this.#bySection.get(start.section.index) ?? [];
    return pointers.filter(({ place }) => place.offset >= start.offset && place.offset < end);
  }

  /** @returns the places of the whole elements, `size` bytes each, of the array that begins at `start` */
  elements(start: Place, size: number): Place[] {
    const count = Math.floor((this.#endOf(start) - start.offset) / size);
    return Array.from({ length: count }, (_, i) => ({
      section: start.section,
      offset: start.offset + i * size,
    }));
  }

  /** Where the object that begins at `start` ends: with its symbol, else with its section. */
  #endOf({ section, offset }: Place): number {
    const symbol = this.#file.symbols.find(
      s => s.section === section && s.type === STT.OBJECT && s.st_value === BigInt(offset) && s.st_size > 0n,
    );
    return symbol === undefined
      ? section.sh_size
      : Math.min(section.sh_size, offset + Number(symbol.st_size));
  }

  /** @returns the pointers to the beginning of a symbol of that name */
  to(name: string): Pointer[] {
    const symbol = this.#file.symbols.find(s => s.name === name && s.section !== undefined);
    if (symbol === undefined) return [];
    return [...this.#bySection.values()].flatMap(pointers =>
      pointers.filter(
        ({ target }) => target.section === symbol.section && BigInt(target.offset) === symbol.st_value,
      ),
    );
  }

  nameOf({ section, offset }: Place): string {
    const found = this.#file.symbols.find(
      s => s.section === section && s.type === STT.FUNC && s.st_value === BigInt(offset),
    );
    return found?.name ?? '';
  }
}

function targetOf(file: ElfFile, { r_type, r_sym, r_addend }: Relocation): Place | undefined {
  const kind = x86_64.relocation(r_type);
  const symbol = file.symbols[r_sym];
  if (kind === undefined || kind.size !== 8 || kind.pcRelative || symbol?.section === undefined)
    return undefined;
  const offset = Number(symbol.st_value + r_addend);
  return offset >= 0 && offset <= symbol.section.sh_size ? { section: symbol.section, offset } : undefined;
}

function isCode(section: Section): boolean {
  return hasFlag(section.sh_flags, SHF.EXECINSTR);
}

function textAt({ section, offset }: Place): string | undefined {
  const bytes = section.bytes.subarray(offset, offset + kernelLimits.symbolName + 1);
  const end = bytes.indexOf(0);
  return end < 0 ? undefined : Buffer.from(bytes.subarray(0, end)).toString('latin1');
}

/** @returns a rank, which no kernel has 2^53 of; 0 where the section is too short, as in memory that nobody set */
function u64At(section: Section, offset: number): number {
  const { bytes } = section;
  if (offset + 8 > bytes.length) return 0;
  return Number(new DataView(bytes.buffer, bytes.byteOffset + offset, 8).getBigUint64(0, true));
}
