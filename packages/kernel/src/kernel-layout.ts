/**
 * Sizes and offsets that differ from kernel to kernel and that a livepatch module must have exactly as the kernel
 * expects them: `struct module`, and the entries of the tables that go with code.
 */
import { KstitchError } from '@kstitch/report/error';
import type { Btf, BtfStruct } from './btf.ts';

/** All in bytes. */
export interface KernelLayout {
  /** `struct module`, which is the section `.gnu.linkonce.this_module`. */
  readonly module: {
    readonly size: number;
    readonly name: number;
    readonly init: number;
    readonly exit: number;
  };
  /** `.altinstructions` (arch/x86/include/asm/alternative.h). */
  readonly altInstr: {
    readonly size: number;
    readonly instrOffset: number;
    readonly replOffset: number;
    readonly instrlen: number;
    readonly replacementlen: number;
  };
  /** `__bug_table`; the file name and line only with CONFIG_DEBUG_BUGVERBOSE. */
  readonly bugEntry: {
    readonly size: number;
    readonly bugAddr: number;
    readonly file: number | undefined;
    readonly line: number | undefined;
    readonly flags: number;
  };
  /** `__jump_table`. */
  readonly jumpEntry: {
    readonly size: number;
    readonly code: number;
    readonly target: number;
    readonly key: number;
  };
  /** Size of an entry of `__ex_table`. */
  readonly exceptionTableEntrySize: number;
  /** Size of an entry of `.static_call_sites`; undefined where the kernel has no inline static calls. */
  readonly staticCallSiteSize: number | undefined;
  /** Size of an entry of `.orc_unwind`; undefined where the kernel does not use ORC. */
  readonly orcEntrySize: number | undefined;
  /** Size of an entry of `.parainstructions`; undefined from 6.8 on, which has none. */
  readonly paravirtPatchSiteSize: number | undefined;
}

/**
 * @throws KstitchError - `kernel-btf` when a struct or member that every kernel of x86 has is missing
 */
export function readKernelLayout(btf: Btf): KernelLayout {
  const module = required(btf, 'module');
  const altInstr = required(btf, 'alt_instr');
  const bugEntry = required(btf, 'bug_entry');
  const jumpEntry = required(btf, 'jump_entry');
  return {
    module: {
      size: module.size,
      name: offset(btf, module, 'name'),
      init: offset(btf, module, 'init'),
      exit: offset(btf, module, 'exit'),
    },
    altInstr: {
      size: altInstr.size,
      instrOffset: offset(btf, altInstr, 'instr_offset'),
      replOffset: offset(btf, altInstr, 'repl_offset'),
      instrlen: offset(btf, altInstr, 'instrlen'),
      replacementlen: offset(btf, altInstr, 'replacementlen'),
    },
    bugEntry: {
      size: bugEntry.size,
      // The `_disp` members are there with CONFIG_GENERIC_BUG_RELATIVE_POINTERS, else plain pointers.
      bugAddr: bugEntry.member('bug_addr_disp')?.offset ?? offset(btf, bugEntry, 'bug_addr'),
      file: (bugEntry.member('file_disp') ?? bugEntry.member('file'))?.offset,
      line: bugEntry.member('line')?.offset,
      flags: offset(btf, bugEntry, 'flags'),
    },
    jumpEntry: {
      size: jumpEntry.size,
      code: offset(btf, jumpEntry, 'code'),
      target: offset(btf, jumpEntry, 'target'),
      key: offset(btf, jumpEntry, 'key'),
    },
    exceptionTableEntrySize: required(btf, 'exception_table_entry').size,
    staticCallSiteSize: btf.struct('static_call_site')?.size,
    orcEntrySize: btf.struct('orc_entry')?.size,
    paravirtPatchSiteSize: btf.struct('paravirt_patch_site')?.size,
  };
}

function required(btf: Btf, name: string): BtfStruct {
  const found = btf.struct(name);
  if (found === undefined) throw missing(btf, `struct '${name}'`);
  return found;
}

function offset(btf: Btf, struct: BtfStruct, member: string): number {
  const found = struct.member(member);
  if (found === undefined) throw missing(btf, `member '${member}' in struct '${struct.name}'`);
  return found.offset;
}

function missing(btf: Btf, what: string): KstitchError {
  return new KstitchError('kernel-btf', `cannot lay out a module for '${btf.what}': its BTF has no ${what}`);
}
