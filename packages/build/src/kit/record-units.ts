import { readdir, readFile, stat, unlink } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, normalize } from 'node:path';
import { writeAtomically } from '@kstitch/host/files';
import { parseConfig } from '@kstitch/kernel/config';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import type { Workshop } from '../root/workshop.ts';

/** First word of what stands in place of an object after a recording. */
const mark = 'kstitch-unit';
/** A kernel has thousands of units; fewer means that kbuild gave up early. */
const fewestUnits = 500;
/** What is recorded of one unit is at most this long, bytes; host tools' objects may be longer. */
const maxRecord = 64 * 1024;
/** Top folders of the source that hold nothing of the kernel or its modules. */
const notKernel = new Set([
  'Documentation',
  'LICENSES',
  'include',
  'rust',
  'samples',
  'scripts',
  'tools',
  'debian',
]);

/**
 * Lets kbuild walk the whole kernel without compiling: each recipe that would compile a unit writes down its command
 * instead. That takes seconds, and leaves
 *
 * - which units this flavour is built from, into which module, and the exact compiler command of each;
 * - every generated source and header in place (crc32table.h, capflags.c, flask.h, the ASN.1 parsers …), which
 *   `modules_prepare` does not make and whose list differs from flavour to flavour.
 *
 * Recipes that need real objects (the vDSO, the real-mode trampoline, the EFI stub) fail; make goes on without them (`-k`). None
 * of them is code that a livepatch can reach.
 *
 * @param tree - a prepared tree
 * @param file - where the record is written: one line a unit, `OBJECT<tab>MODULES<tab>COMMAND`, sorted
 * @returns how many units there are
 * @throws KstitchError - `kit-prepare-failed`
 */
export async function recordUnits(
  context: Context,
  workshop: Workshop,
  release: string,
  tree: string,
  file: string,
): Promise<number> {
  return await context.progress.step('record how each unit is compiled', async update => {
    const folders = await kernelFolders(tree);
    const architectureFolders = await foldersOfArchitecture(tree);
    const record = (command: string) => `printf '${mark} %s\\n' '$(call escsq,$(${command}))' > $@`;
    const overrides = [
      `rule_cc_o_c=${record('cmd_cc_o_c')}`,
      `rule_as_o_S=${record('cmd_as_o_S')}`,
      'cmd_objtool=',
      // Archives and multi-unit modules, by the names of 6.1 and of later kernels.
      ...['cmd_ar_builtin', 'cmd_ar', 'cmd_link_multi-m', 'cmd_ld_multi_m'].map(name => `${name}=: > $@`),
    ];
    const { stderr } = await workshop.run(
      'make',
      [
        '-C',
        tree,
        `-j${availableParallelism()}`,
        '-k',
        '-s',
        ...overrides,
        ...folders,
        ...architectureFolders,
      ],
      { signal: context.signal, allowStatus: [2] },
    );
    const commands = new Map<string, string>();
    const modules = new Map<string, string[]>();
    for (const folder of folders) {
      await collectCommands(tree, folder, commands);
      await collectModules(tree, folder, modules);
    }
    const lines = [...commands].map(([object, command]) => {
      const owners = modules.get(object)?.toSorted().join(' ') ?? '';
      return `${object}\t${owners}\t${command}`;
    });
    if (lines.length < fewestUnits) {
      throw new KstitchError(
        'kit-prepare-failed',
        `prepare the source of '${release}': kbuild named only ${lines.length} units`,
        { notes: stderr.trimEnd().split('\n').slice(-15) },
      );
    }
    update(`${lines.length} units`);
    await writeAtomically(file, `${lines.toSorted().join('\n')}\n`);
    return lines.length;
  });
}

async function kernelFolders(tree: string): Promise<readonly string[]> {
  const entries = await readdir(tree, { withFileTypes: true });
  const folders = entries.filter(
    entry => entry.isDirectory() && !notKernel.has(entry.name) && !entry.name.startsWith('.'),
  );
  return folders.map(entry => (entry.name === 'arch' ? 'arch/x86/' : `${entry.name}/`)).toSorted();
}

/**
 * Folders that `arch/x86/Makefile` hands to the top Makefile beside `arch/x86/` itself (`libs-y += arch/x86/lib/`,
 * `drivers-$(CONFIG_PCI) += arch/x86/pci/`): kbuild does not reach them from there.
 */
async function foldersOfArchitecture(tree: string): Promise<readonly string[]> {
  const [makefile, config] = await Promise.all([
    readFile(join(tree, 'arch/x86/Makefile'), 'utf8'),
    readFile(join(tree, '.config'), 'utf8'),
  ]);
  const options = parseConfig(config);
  const rules = makefile.matchAll(
    /^(?:core|libs|drivers)-(?:y|\$\((CONFIG_\w+)\))\s*\+=\s*(arch\/x86\/[\w-]+\/)/gm,
  );
  return [...rules].flatMap(([, option, folder]) =>
    folder !== undefined && (option === undefined || options.isSet(option)) ? [folder] : [],
  );
}

/** Reads what stands in place of the objects below a folder, and removes it. */
async function collectCommands(tree: string, folder: string, commands: Map<string, string>): Promise<void> {
  const names = await readdir(join(tree, folder), { recursive: true });
  for (const name of names.filter(candidate => /\.[oa]$/.test(candidate))) {
    const path = join(tree, folder, name);
    const { size } = await stat(path);
    const text = size < maxRecord ? await readFile(path, 'latin1') : '';
    const recorded = text.startsWith(`${mark} `);
    if (recorded)
      commands.set(
        folder + name,
        text
          .slice(mark.length + 1)
          .trim()
          .replaceAll(/\s+/g, ' '),
      );
    // Others with content are kbuild's own host tools.
    if (recorded || size === 0) await unlink(path);
  }
}

/** kbuild writes beside each module a `.mod` file with the objects it is linked from, one a line. */
async function collectModules(tree: string, folder: string, modules: Map<string, string[]>): Promise<void> {
  const names = await readdir(join(tree, folder), { recursive: true });
  for (const name of names.filter(candidate => candidate.endsWith('.mod'))) {
    const owner = (folder + name).slice(0, -'.mod'.length);
    const text = await readFile(join(tree, folder, name), 'utf8');
    for (const line of text.split(/\s+/).filter(object => object.endsWith('.o'))) {
      // kvm names its objects by way of `arch/x86/kvm/../../../virt/kvm`.
      const object = normalize(line);
      modules.set(object, [...(modules.get(object) ?? []), owner]);
    }
  }
}
