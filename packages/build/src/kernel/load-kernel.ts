import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EntrySizes } from '@kstitch/arch/special-sections';
import type { KernelSymbols } from '@kstitch/diff/references';
import { ShippedModule } from '@kstitch/diff/run-pre/shipped-module';
import { ShippedVmlinux } from '@kstitch/diff/run-pre/shipped-vmlinux';
import type { ElfFile } from '@kstitch/elf/model';
import { buildId } from '@kstitch/elf/notes';
import { readElf } from '@kstitch/elf/read';
import { readPerhapsCompressed } from '@kstitch/host/compressed-file';
import { fileError } from '@kstitch/host/files';
import { type Banner, readBanner } from '@kstitch/kernel/banner';
import { readBtf } from '@kstitch/kernel/btf';
import { readFtraceSites } from '@kstitch/kernel/ftrace-sites';
import { type Kallsyms, readKallsyms } from '@kstitch/kernel/kallsyms';
import { KernelImage } from '@kstitch/kernel/kernel-image';
import { type KernelLayout, readKernelLayout } from '@kstitch/kernel/kernel-layout';
import { parseModulePaths } from '@kstitch/kernel/module-lists';
import { moduleNameOf } from '@kstitch/kernel/module-name';
import { readSymtab } from '@kstitch/kernel/symtab-symbols';
import { type ExportedSymbol, parseSymvers } from '@kstitch/kernel/symvers';
import type { KernelWorld } from '@kstitch/livepatch/kernel-world';
import { KstitchError } from '@kstitch/report/error';
import type { Kit } from '../kit/kit.ts';

/** One shipped kernel, read: what run-pre matches against and what the finished livepatch is checked against. */
export interface ShippedKernel {
  readonly kit: Kit;
  readonly banner: Banner;
  /** Lower-case hex; empty where the image has none. */
  readonly buildId: string;
  readonly entrySizes: EntrySizes;
  /** Every module and built-in module of the release, by name. */
  readonly moduleNames: ReadonlySet<string>;
  /** Where each module's file is, below the kit's folder of modules. */
  readonly modulePaths: ReadonlyMap<string, string>;
  readonly image: KernelImage;
  readonly kallsyms: Kallsyms;
  readonly vmlinux: ShippedVmlinux;
  /** @throws KstitchError - `module-absent` when the kernel ships none of that name */
  module(name: string): Promise<ShippedModule>;
  /**
   * Makes {@link world} know modules, `vmlinux` among the names or not: of the hundred that a header reaches, no more are kept
   * in memory than what is asked about again.
   *
   * @throws KstitchError - `module-absent`
   */
  hold(names: Iterable<string>): Promise<void>;
  /** @returns what a unit of that object may refer to */
  symbolsFor(object: ShippedVmlinux | ShippedModule): KernelSymbols;
  /** Modules are those held. */
  readonly world: KernelWorld;
}

/**
 * @throws KstitchError - what reading the image, its symbol table, BTF and the text files of the kit throws
 */
export async function loadKernel(kit: Kit): Promise<ShippedKernel> {
  const { paths } = kit;
  const [imageBytes, symversText, order, builtin] = await Promise.all([
    read(paths.vmlinux),
    read(paths.symvers),
    read(join(paths.modulesDirectory, 'modules.order')),
    read(join(paths.modulesDirectory, 'modules.builtin')),
  ]);
  const elf = readElf(imageBytes, `vmlinux of ${kit.release}`);
  const image = new KernelImage(elf);
  // Of a vmlinux that was not stripped, its own symbols: a kit is made of it only where kallsyms says the same.
  const kallsyms = readSymtab(image) ?? readKallsyms(image);
  const ftraceSites = readFtraceSites(image, kallsyms);
  const layout = readKernelLayout(readBtf(elf));
  const symvers = parseSymvers(symversText.toString('latin1'));
  const modulePaths = new Map(
    parseModulePaths(order.toString('latin1')).map(path => [moduleNameOf(path), path]),
  );
  const builtinNames = parseModulePaths(builtin.toString('latin1')).map(moduleNameOf);

  const vmlinux = new ShippedVmlinux(image, kallsyms, ftraceSites);
  const held = new Map<string, ElfFile>();
  // Units of one module come one after the other.
  let last: { readonly name: string; readonly file: ElfFile } | undefined;
  const readModule = async (name: string): Promise<ElfFile> => {
    const path = modulePaths.get(name);
    if (path === undefined) {
      throw new KstitchError('module-absent', `kernel ${kit.release} ships no module '${name}'`);
    }
    const known = last?.name === name ? last.file : held.get(name);
    if (known !== undefined) return known;
    const file = readElf(await readPerhapsCompressed(join(paths.modulesDirectory, path)), path);
    last = { name, file };
    return file;
  };
  return {
    kit,
    banner: readBanner(image),
    buildId: buildId(elf) ?? '',
    entrySizes: entrySizesOf(layout),
    moduleNames: new Set([...modulePaths.keys(), ...builtinNames]),
    modulePaths,
    image,
    kallsyms,
    vmlinux,
    module: async name => new ShippedModule(name, await readModule(name)),
    hold: async names => {
      for (const name of names) if (name !== vmlinux.name) held.set(name, await readModule(name));
    },
    symbolsFor: shipped => ({ shipped, vmlinux, exporterOf: name => exporterOf(symvers, name) }),
    world: {
      release: kit.release,
      kallsyms,
      symvers,
      layout,
      ftraceSites,
      shippedModule: name => held.get(name),
    },
  };
}

function exporterOf(symvers: ReadonlyMap<string, ExportedSymbol>, name: string): string | undefined {
  const symbol = symvers.get(name);
  return symbol && moduleNameOf(symbol.module);
}

function entrySizesOf(layout: KernelLayout): EntrySizes {
  return {
    altInstruction: layout.altInstr.size,
    altReplacementLength: layout.altInstr.replacementlen,
    bug: layout.bugEntry.size,
    jump: layout.jumpEntry.size,
    exception: layout.exceptionTableEntrySize,
    paravirt: layout.paravirtPatchSiteSize,
  };
}

async function read(path: string): Promise<Buffer> {
  return await readFile(path).catch((error: unknown) => {
    throw fileError(`read '${path}'`, error);
  });
}
