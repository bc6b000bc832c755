import type { ElfFile } from '@kstitch/elf/model';
import type { FtraceSites } from '@kstitch/kernel/ftrace-sites';
import type { Kallsyms } from '@kstitch/kernel/kallsyms';
import type { KernelLayout } from '@kstitch/kernel/kernel-layout';
import type { ExportedSymbol } from '@kstitch/kernel/symvers';

/** What the checks need of the kernel that the livepatch is for. */
export interface KernelWorld {
  /** What `uname -r` prints. */
  readonly release: string;
  /** Of the shipped vmlinux. */
  readonly kallsyms: Pick<Kallsyms, 'named'>;
  /** Module.symvers. */
  readonly symvers: ReadonlyMap<string, ExportedSymbol>;
  readonly layout: Pick<KernelLayout, 'module' | 'jumpEntry'>;
  /** Of the shipped vmlinux. */
  readonly ftraceSites: Pick<FtraceSites, 'has'>;
  /** @returns the shipped module of that name, undefined when the kernel has none */
  shippedModule(name: string): ElfFile | undefined;
}
