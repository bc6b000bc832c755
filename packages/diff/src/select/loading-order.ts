/**
 * What the kernel's loading order demands of the special-section entries of a selected function.
 *
 * load_module() applies ordinary and klp relocations to vmlinux first; then module_finalize() rewrites instructions
 * (alternatives, paravirt, retpolines, returns), then the COMING notifiers set up jump labels and static calls. Klp
 * relocations to a patched module come last, from klp_enable_patch() or when that module is loaded
 * (kernel/module/main.c, kernel/livepatch/core.c). So by table:
 *
 *   __jump_table          key in vmlinux, or the livepatch's own: kept. Of a module: the entry would be read before it is
 *                         complete; a tracepoint's is kept with a key that never is on, others are refused. A key that is
 *                         read-only since boot cannot take a module's sites before 6.10: refused.
 *   .static_call_sites    objtool makes them later, and none for a static call of a module (link-names.ts): that goes
 *                         through its trampoline, which the kernel keeps right (arch_static_call_transform()).
 *   .altinstructions,     kept, unless the instruction or what replaces it refers to a module: it is copied and written
 *   .parainstructions     over before the reference is there. Refused.
 *   __ex_table,           kept: they refer to the function alone, and to texts.
 *   __bug_table, .smp_locks
 *   __dyndbg              kept: the descriptor is the livepatch's own, with its key.
 */
import { altInstruction, type EntrySizes } from '@kstitch/arch/special-sections';
import { type Diagnostic, diagnostic, type Place } from '@kstitch/report/diagnostic';
import type { KlpTarget } from '../link-names.ts';
import type { KernelReference, KernelSymbols } from '../references.ts';
import type { Address } from '../run-pre/shipped-object.ts';
import type { Atom, Entry, Reference } from '../unit/atom.ts';
import { coldParentOf } from '../unit/names.ts';
import { makeNeverKey } from './made-atoms.ts';
import type { Resolution } from './selection.ts';

const vmlinuxName = 'vmlinux';
const tracepointPrefix = '__tracepoint_';

export interface LoadingOrderInput {
  readonly symbols: KernelSymbols;
  readonly sizes: EntrySizes;
  /** An id that no atom of the unit has. */
  readonly freeId: number;
  resolve(atom: Atom, entry: Entry | undefined, reference: Reference): Resolution | Diagnostic;
  placeOf(atom: Atom, offset: number): Place;
}

export class LoadingOrder {
  readonly #input: LoadingOrderInput;
  /** A static key of the livepatch that is never switched on, once one is needed. */
  neverKey: Atom | undefined;
  readonly diagnostics: Diagnostic[] = [];
  readonly #silent = new Set<string>();

  constructor(input: LoadingOrderInput) {
    this.#input = input;
  }

  /** @returns the entry as it has to be in the livepatch */
  entry(atom: Atom, entry: Entry): Entry {
    switch (entry.section.name) {
      case '__jump_table':
        return this.#jumpLabel(atom, entry);
      case '.altinstructions':
      case '.parainstructions':
        this.#checkRewritten(atom, entry);
        return entry;
      default:
        return entry;
    }
  }

  #jumpLabel(atom: Atom, entry: Entry): Entry {
    const key = entry.references.at(-1);
    const resolution = key && this.#input.resolve(atom, entry, key);
    if (key === undefined || resolution === undefined || 'code' in resolution) return entry;
    const place = this.#input.placeOf(atom, entry.ownerOffset);
    const name = coldParentOf(atom.name) ?? atom.name;
    if (!isOfModule(resolution)) {
      if (this.#isSealedKey(resolution)) {
        const text = `${name}() uses the static key '${resolution.name}', which is read-only since boot`;
        this.diagnostics.push(diagnostic('read-only-static-key', place, text));
      }
      return entry;
    }
    if (!resolution.name.startsWith(tracepointPrefix)) {
      const text = `${name}() uses the static key '${resolution.name}' of module '${resolution.object}'`;
      this.diagnostics.push(diagnostic('module-static-key', place, text));
      return entry;
    }
    const tracepoint = resolution.name.slice(tracepointPrefix.length);
    const text = `tracepoint '${tracepoint}' stays silent in ${name}() while the livepatch is loaded`;
    if (!this.#silent.has(text)) this.diagnostics.push(diagnostic('tracepoint-inert', place, text));
    this.#silent.add(text);
    // Dropping the entry instead would leave objtool with code that nothing reaches.
    this.neverKey ??= makeNeverKey(this.#input.freeId);
    // The low bits of a key's address are flags of the site (include/linux/jump_label.h: struct jump_entry).
    const flags = key.target.offset & 3;
    const never: Reference = { ...key, target: { kind: 'atom', atom: this.neverKey, offset: flags } };
    return {
      ...entry,
      references: entry.references.map(reference => (reference === key ? never : reference)),
    };
  }

  /**
   * jump_label_add_module() links the sites of a module to the key of another object, and writes to the key for that. Such a key
   * is in memory that mark_rodata_ro() made read-only. Kernels since 6.10 know (kernel/jump_label.c: jump_label_init_ro()).
   */
  #isSealedKey(resolution: Resolution): resolution is KernelReference {
    const { vmlinux } = this.#input.symbols;
    if (resolution.kind !== 'klp' && resolution.kind !== 'export') return false;
    const [start] = vmlinux.named('__start_ro_after_init');
    const [end] = vmlinux.named('__end_ro_after_init');
    const key = addressOf(vmlinux.named(resolution.name), resolution);
    if (start === undefined || end === undefined || key === undefined) return false;
    return key >= start && key < end && vmlinux.named('jump_label_init_ro').length === 0;
  }

  /** The instructions that are written over when the livepatch is loaded, and those that are written there. */
  #checkRewritten(atom: Atom, entry: Entry): void {
    const isAlternative = entry.section.name === '.altinstructions';
    const { altReplacementLength } = this.#input.sizes;
    // struct alt_instr, struct paravirt_patch_site (arch/x86/include/asm: alternative.h, paravirt_types.h)
    const length = entry.bytes[isAlternative ? altReplacementLength - 1 : paravirtLength] ?? 0;
    const from = entry.ownerOffset;
    const inPlace = atom.references.filter(({ offset }) => offset >= from && offset < from + length);
    const replacement = entry.references.find(({ offset }) => offset === altInstruction.replacement)?.target;
    const chunk = isAlternative && replacement?.kind === 'atom' ? replacement.atom : undefined;
    for (const [holder, references] of [
      [atom, inPlace],
      [chunk, chunk?.references ?? []],
    ] as const) {
      for (const reference of references) {
        const resolution = this.#input.resolve(holder ?? atom, undefined, reference);
        if ('code' in resolution || !isOfModule(resolution)) continue;
        const name = coldParentOf(atom.name) ?? atom.name;
        const text = `${name}() refers to '${resolution.name}' of module '${resolution.object}' in an instruction that the kernel rewrites for the processor`;
        const place = this.#input.placeOf(atom, from);
        this.diagnostics.push(diagnostic('module-alternative', place, text));
      }
    }
  }
}

/** Of the length of the instruction, in `struct paravirt_patch_site`. */
const paravirtLength = 9;

function isOfModule(resolution: Resolution): resolution is KlpTarget {
  return resolution.kind === 'klp' && resolution.object !== vmlinuxName;
}

function addressOf(addresses: readonly Address[], resolution: KernelReference): Address | undefined {
  return addresses[resolution.kind === 'klp' && resolution.sympos > 0 ? resolution.sympos - 1 : 0];
}
