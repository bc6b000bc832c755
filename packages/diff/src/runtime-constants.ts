/**
 * Runtime constants (Linux 6.11 and later): `movabs $0x123456789abcdef, %rdx` stands where a variable would be read, a section
 * `runtime_ptr_NAME` or `runtime_shift_NAME` lists every such place, and at boot the kernel writes the variable's value into
 * the instructions of vmlinux. Nobody does so for a module: a copy would go on working with the placeholder, and
 * access_ok() would take any address for one of user space.
 *
 * Source compiled for a module reads the variable itself (arch/x86/include/asm/uaccess_64.h: `#ifdef MODULE`), and the copy is
 * made to do so, too.
 */
import type { Architecture, VariableLoad } from '@kstitch/arch/architecture';
import { runtimeConstantSection } from '@kstitch/arch/special-sections';
import { type Diagnostic, diagnostic, type Place } from '@kstitch/report/diagnostic';
import type { Atom, Entry, Reference } from './unit/atom.ts';

/** What goes into the livepatch for an atom. */
export type Code = Pick<Atom, 'bytes' | 'references'>;

/**
 * Variables that hold, from the moment on at which the constants are written, what is written: USER_PTR_MAX is set right
 * before (arch/x86/kernel/cpu/common.c: arch_cpu_finalize_init()) and never again, and modules read it. What else there is,
 * the hash table of fs/dcache.c, has a shift count besides, for which no instruction of that length reads a variable.
 */
const variables: ReadonlySet<string> = new Set(['USER_PTR_MAX']);

export function isRuntimeConstant(entry: Entry): boolean {
  return runtimeConstantSection.test(entry.section.name);
}

/**
 * @param placeOf - of an offset in the atom, for findings
 * @returns the atom's code with every runtime constant read from its variable; findings where that cannot be
 */
export function readVariables(
  atom: Atom,
  arch: Architecture,
  placeOf: (offset: number) => Place,
): { readonly code: Code; readonly diagnostics: readonly Diagnostic[] } {
  const constants = atom.entries.filter(isRuntimeConstant);
  if (constants.length === 0) return { code: atom, diagnostics: [] };
  const instructions = arch.decode(atom.bytes);
  const bytes = new Uint8Array(atom.bytes);
  const added: Reference[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const { section, ownerOffset } of constants) {
    const name = runtimeConstantSection.exec(section.name)?.[1] ?? '';
    const load = variables.has(name)
      ? arch.loadFromVariable(atom.bytes, instructions, ownerOffset)
      : undefined;
    if (load === undefined || atom.kind !== 'function' || isShared(atom, load, arch)) {
      const user = atom.name === '' ? `code in '${atom.section.name}'` : `${atom.name}()`;
      const text = `${user} uses the runtime constant '${name}', which only vmlinux is given at boot`;
      diagnostics.push(diagnostic('runtime-constant', placeOf(ownerOffset), text));
      continue;
    }
    bytes.set(load.bytes, load.offset);
    const target = { kind: 'external', name, weak: false, offset: 0 } as const;
    added.push({ offset: load.field, type: load.type, bias: load.bias, target });
  }
  const references = [...atom.references, ...added].sort((a, b) => a.offset - b.offset);
  return { code: { bytes, references }, diagnostics };
}

/** Whether something else knows or fills in a part of the instruction. */
function isShared({ entries, references }: Atom, load: VariableLoad, arch: Architecture): boolean {
  const start = load.offset;
  const end = start + load.bytes.length;
  return (
    references.some(
      ({ offset, type }) => offset < end && offset + (arch.relocation(type)?.size ?? 8) > start,
    ) ||
    entries.some(entry => !isRuntimeConstant(entry) && entry.ownerOffset > start && entry.ownerOffset < end)
  );
}
