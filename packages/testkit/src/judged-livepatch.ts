/** A real livepatch with all that the oracle is asked about it, for tests that spoil it. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildOn, readGround } from '@kstitch/build/build-livepatch';
import { compileChanged } from '@kstitch/build/compile/compile-changed';
import { checkCompiler } from '@kstitch/build/compile/compiler';
import { kernelDelta } from '@kstitch/build/delta';
import { findAffectedUnits } from '@kstitch/build/patch/affected-units';
import { applyPatches } from '@kstitch/build/patch/apply-patch';
import { editElf } from '@kstitch/elf/edit';
import type { BuilderSection, ObjectBuilder, RelocationEntry } from '@kstitch/elf/object-builder';
import { readElf } from '@kstitch/elf/read';
import { writeElf } from '@kstitch/elf/write';
import type { Question, QuestionedUnit } from '@kstitch/oracle/question';
import { silentContext } from '@kstitch/report/context';
import { testKit, testRelease } from './kit.ts';

export interface JudgedLivepatch {
  readonly question: Question;
  readonly bytes: Uint8Array;
}

/** @returns Debian's fix of #1154101, the difference of 6.1.192-1 and 6.1.192-2: the first patch that kstitch was made for */
export async function ext4Fix(): Promise<string> {
  return await kernelDelta(silentContext(), '6.1.192-1', '6.1.192-2', ['fs/ext4/mballoc.c']);
}

/**
 * @param directory - an empty folder, kept as long as the question is asked
 * @param patchTexts - unified diffs, all of one object of the kernel
 */
export async function judgedLivepatch(
  directory: string,
  patchTexts: readonly string[],
  release = testRelease,
): Promise<JudgedLivepatch> {
  await testKit(release);
  const context = silentContext();
  const ground = await readGround(context, release);
  const { kit, world } = ground.kernel;
  const patches = patchTexts.map((text, i) => ({ name: `${i}.patch`, bytes: Buffer.from(text, 'latin1') }));
  const built = await buildOn(context, ground, { patches, name: 'judged', outputDirectory: directory });

  const toolchain = await checkCompiler(context, kit.workshop, ground.kernel.banner);
  const patch = await applyPatches(context, kit, patches);
  const commands = await findAffectedUnits(context, kit, ground.database, patch);
  const work = join(directory, 'work');
  await mkdir(work);
  const units: QuestionedUnit[] = [];
  for (const [i, changed] of (
    await compileChanged(context, kit, toolchain, patch, commands, work)
  ).entries()) {
    const { before, after } = await changed.load();
    const paths = { before: join(directory, `${i}.before.o`), after: join(directory, `${i}.after.o`) };
    await writeFile(paths.before, before);
    await writeFile(paths.after, after);
    const { source, owner } = changed.command;
    const functions = built.bundle.objects.flatMap(object => object.functions);
    units.push({
      ...paths,
      name: source,
      linkedAs: `unit${i}.o`,
      gate: owner === 'vmlinux' ? owner : (owner[0] ?? ''),
      patched: functions
        .filter(({ unit }) => unit === source)
        .map(({ name, sympos }) => ({ oldName: name, oldSympos: sympos, name })),
    });
  }
  return {
    bytes: await readFile(built.modulePath),
    question: {
      module: built.modulePath,
      units,
      kernel: {
        named: name => world.kallsyms.named(name),
        vmlinux: kit.paths.vmlinux,
        symvers: kit.paths.symvers,
        module: async name => {
          const shipped = world.shippedModule(name);
          if (shipped === undefined) return undefined;
          const path = join(directory, `shipped-${name}.ko`);
          await writeFile(path, shipped.bytes);
          return path;
        },
      },
    },
  };
}

/** A module that is being spoiled. */
export interface SpoiledModule {
  readonly builder: ObjectBuilder;
  /** @returns the only section of that name */
  section(name: string): BuilderSection;
  /** @returns the contents of a section, which may be written to */
  bytes(name: string): Uint8Array;
  /** @returns the entries of a relocation section, which may be changed */
  relocations(name: string): RelocationEntry[];
  /** @returns the first relocation in a section's list to the symbol, or the section, of that name */
  relocationTo(list: string, name: string): RelocationEntry;
  /** @returns what a relocation is to: a symbol's name, or a section's */
  targetOf(entry: RelocationEntry): string;
}

/** @returns the module, spoiled; the original is left as it is */
export function spoil(bytes: Uint8Array, how: (module: SpoiledModule) => void): Uint8Array {
  const { builder } = editElf(readElf(Uint8Array.from(bytes), 'module'));
  const section = (name: string) => {
    const [only] = builder.sectionsNamed(name);
    if (only === undefined) throw new Error(`The module has no section '${name}'`);
    return only;
  };
  const relocations = (name: string) => {
    const { content } = section(name);
    if (content.kind !== 'relocations') throw new Error(`Section '${name}' holds no relocations`);
    return content.entries;
  };
  const targetOf = (entry: RelocationEntry) => {
    if (entry.symbol === undefined) return '';
    const { name, place } = builder.symbol(entry.symbol);
    return name === '' && typeof place === 'number' ? builder.section(place).name : name;
  };
  how({
    builder,
    section,
    bytes: name => {
      const { content } = section(name);
      if (content.kind !== 'bytes') throw new Error(`Section '${name}' holds no bytes`);
      return content.bytes;
    },
    relocations,
    relocationTo: (list, name) => {
      const entry = relocations(list).find(each => targetOf(each) === name);
      if (entry === undefined) throw new Error(`'${list}' has no relocation to '${name}'`);
      return entry;
    },
    targetOf,
  });
  return writeElf(builder);
}
