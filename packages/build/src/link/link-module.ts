import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import { diagnostic, Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import type { KernelTree } from '../compile/kernel-tree.ts';
import { modpostErrors, objtoolWarnings } from './kbuild-messages.ts';

export interface ModuleInputs {
  /** `kstitch_ext4_mballoc_1a2b3c4d`: the module is called so, and the file. */
  readonly moduleName: string;
  /** Relocatable objects with the extracted code; each name becomes a file name. */
  readonly objects: readonly ModuleObject[];
  /** C source of the wrapper, with `module_init`. */
  readonly wrapperSource: string;
}

export interface ModuleObject {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Bytes of a livepatch module at most. */
const maxModuleSize = 64 * 1024 * 1024;

/**
 * Makes a module of the extracted objects and the wrapper: kbuild compiles the wrapper, links, runs objtool on the linked object
 * and modpost. The kit's tree is only read.
 *
 * Details, each of which was met as a failure:
 * - `delay-objtool=y`: without IBT or LTO, kbuild runs objtool on each object it compiles and never on linked ones, so the
 *   extracted code would get no ORC and keep raw jumps at its jump labels (scripts/Makefile.lib).
 * - `NAME.o_shipped` is how kbuild takes objects that are there already; modpost wants a `.NAME.o.cmd` beside each.
 * - `KCFLAGS=-g0`: debug information of the wrapper and of modpost's .mod.c would hold the paths of tree and work directory.
 *   `-fmacro-prefix-map` takes the latter out of `__FILE__`.
 *
 * @param directory - an empty folder to work in; its path leaves no trace in the module
 * @returns the module before post-link, its klp symbols still weak and undefined
 * @throws Refusal - `objtool-warning`
 * @throws KstitchError - `modpost-failed`, `link-failed`, `host-disk-full`, `interrupted`
 */
export async function linkModule(
  context: Context,
  kit: KernelTree,
  directory: string,
  inputs: ModuleInputs,
): Promise<Uint8Array> {
  const { moduleName } = inputs;
  await writeInputs(directory, inputs);
  const { status, stdout, stderr } = await kit.workshop.run(
    'make',
    ['-C', kit.paths.tree, `M=${directory}`, 'delay-objtool=y', 'KCFLAGS=-g0', 'modules'],
    { signal: context.signal, allowStatus: [1, 2] },
  );
  const warnings = objtoolWarnings(stderr);
  if (warnings.length > 0) {
    const place = { object: moduleName };
    throw new Refusal(
      warnings.map(text =>
        diagnostic('objtool-warning', place, `objtool warns about '${moduleName}': ${text}`),
      ),
    );
  }
  if (status !== 0) throw linkError(moduleName, stdout, stderr);
  const file = join(directory, `${moduleName}.ko`);
  const bytes = await readFile(file).catch((error: unknown) => {
    throw fileError(`read '${file}'`, error);
  });
  if (bytes.length > maxModuleSize) {
    throw new KstitchError('link-failed', `link '${moduleName}': the module has ${bytes.length} bytes`);
  }
  return bytes;
}

/** Names of the files beside the objects. */
const wrapperName = 'wrapper';

async function writeInputs(
  directory: string,
  { moduleName, objects, wrapperSource }: ModuleInputs,
): Promise<void> {
  const names = [...objects.map(object => object.name), wrapperName];
  const invalid = [moduleName, ...names].find(name => !/^[A-Za-z0-9_-]+$/.test(name));
  if (invalid !== undefined)
    throw new RangeError(`Cannot link '${moduleName}': '${invalid}' is no file name`);
  if (new Set([...names, moduleName]).size !== names.length + 1) {
    throw new RangeError(`Cannot link '${moduleName}': two objects have one name`);
  }
  const kbuild = [
    `obj-m := ${moduleName}.o`,
    `${moduleName}-y := ${names.map(name => `${name}.o`).join(' ')}`,
    'ccflags-y := -fmacro-prefix-map=$(src)/=',
    '',
  ];
  try {
    await writeFile(join(directory, 'Kbuild'), kbuild.join('\n'));
    await writeFile(join(directory, `${wrapperName}.c`), wrapperSource);
    for (const { name, bytes } of objects) {
      await writeFile(join(directory, `${name}.o_shipped`), bytes);
      await writeFile(join(directory, `.${name}.o.cmd`), '');
    }
  } catch (error) {
    throw fileError(`write '${directory}'`, error);
  }
}

function linkError(moduleName: string, stdout: string, stderr: string): KstitchError {
  if (/No space left on device|Disk quota exceeded/.test(stderr)) {
    return new KstitchError('host-disk-full', `link '${moduleName}': no space left on device`);
  }
  const errors = modpostErrors(stderr);
  const [first] = errors;
  if (first !== undefined)
    return new KstitchError('modpost-failed', `link '${moduleName}': ${first}`, { notes: errors.slice(1) });
  const words = stderr.trim() === '' ? stdout : stderr;
  return new KstitchError('link-failed', `link '${moduleName}': make failed`, {
    notes: words.trimEnd().split('\n').slice(0, 20),
  });
}
