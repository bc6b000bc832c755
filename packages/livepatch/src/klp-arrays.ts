/**
 * Reads the arrays that a livepatch hands to `klp_enable_patch()` out of its file (include/linux/livepatch.h: struct
 * klp_patch, klp_object, klp_func).
 *
 * The structures' sizes differ from kernel to kernel, the beginnings of them do not. So no size is used: an element is
 * found by the relocations of its pointers, and an array ends where its symbol does. Modules that fill these structures
 * at run time (kpatch, klp-build) have nothing to read here.
 */
import { x86_64 } from '@kstitch/arch/x86-64';
import { hasFlag, SHF, SHT, STT } from '@kstitch/elf/constants';
import type { ElfFile, Relocation, Section } from '@kstitch/elf/model';
import { readRelocations, relocationSectionsOf } from '@kstitch/elf/relocations';
import { kernelLimits } from './kernel-limits.ts';
import { VMLINUX } from './plan.ts';

export interface DecodedPatch {
  readonly objects: readonly DecodedObject[];
  /** Whether it replaces every livepatch that is active. */
  readonly replace: boolean;
}

export interface DecodedObject {
  /** `vmlinux` or a module's name. */
  readonly name: string;
  readonly functions: readonly DecodedFunction[];
}

export interface DecodedFunction {
  readonly name: string;
  readonly sympos: number;
  /** The symbol of the replacement, empty without one. */
  readonly newName: string;
}

/** Offsets of fields in bytes, the same since Linux 5.1. */
const klpFunc = { oldName: 0, newFunc: 8, oldSympos: 16 } as const;
const klpObject = { name: 0, funcs: 8 } as const;
const klpPatch = { mod: 0, objs: 8, replace: 24 } as const;

/** @returns the first livepatch that the module describes statically, undefined when there is none */
export function decodeKlpPatch(file: ElfFile): DecodedPatch | undefined {
  const pointers = new Pointers(file);
  for (const { place } of pointers.to('__this_module')) {
    const objects = decodeObjects(pointers, pointers.at({ ...place, offset: place.offset + klpPatch.objs }));
    if (objects.length === 0) continue;
    return { objects, replace: place.section.bytes[place.offset + klpPatch.replace] === 1 };
  }
  return undefined;
}

function decodeObjects(pointers: Pointers, array: Place | undefined): DecodedObject[] {
  const objects: DecodedObject[] = [];
  for (const pointer of pointers.within(array)) {
    // Of an object's pointers only `funcs` leads to an array of functions; the name to text, callbacks to code.
    const functions = decodeFunctions(pointers, pointer.target);
    if (functions.length === 0) continue;
    const { section, offset } = pointer.place;
    const name = pointers.at({ section, offset: offset - klpObject.funcs + klpObject.name });
    objects.push({ name: name === undefined ? VMLINUX : (textAt(name) ?? ''), functions });
  }
  return objects;
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

  /** @returns the pointers in the object that begins at `start`: to the end of its symbol, else of its section */
  within(start: Place | undefined): Pointer[] {
    if (start === undefined) return [];
    const { section, offset } = start;
    const symbol = this.#file.symbols.find(
      s => s.section === section && s.type === STT.OBJECT && s.st_value === BigInt(offset) && s.st_size > 0n,
    );
    const end = symbol === undefined ? section.sh_size : offset + Number(symbol.st_size);
    const pointers = this.#bySection.get(section.index) ?? [];
    return pointers.filter(({ place }) => place.offset >= offset && place.offset < end);
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
