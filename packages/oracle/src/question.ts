import type { KernelSymbolLine } from './shipped.ts';

/** A finished livepatch and what it has to be true to. Files are named by path: the oracle's tools read them themselves. */
export interface Question {
  /** The module after post-link. */
  readonly module: string;
  readonly units: readonly QuestionedUnit[];
  readonly kernel: QuestionedKernel;
}

export interface QuestionedUnit {
  /** Path of the source below the kernel tree. */
  readonly name: string;
  /**
   * The file under which the module's symbol table lists the unit's local symbols: `unit0.o`; undefined when nothing of the
   * unit is in the module.
   */
  readonly linkedAs: string | undefined;
  /** The object that it patches: `vmlinux` or a module. */
  readonly gate: string;
  /** Objects as the compiler wrote them, with function and data sections. */
  readonly before: string;
  readonly after: string;
  /** Functions that the livepatch replaces, as its maker sees it. */
  readonly patched: readonly QuestionedFunction[];
}

export interface QuestionedFunction {
  readonly oldName: string;
  readonly oldSympos: number;
  /** In the after-object. */
  readonly name: string;
}

export interface QuestionedKernel {
  /** @returns all lines of `/proc/kallsyms` with that name, in any order, modules aside */
  named(name: string): Iterable<KernelSymbolLine>;
  /** Uncompressed, with its section headers; symbols are not needed. */
  readonly vmlinux: string;
  /** Module.symvers. */
  readonly symvers: string;
  /** @returns path of the shipped module, uncompressed; undefined when the kernel has none of that name */
  module(name: string): Promise<string | undefined>;
}
