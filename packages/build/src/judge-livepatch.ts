import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '@kstitch/host/files';
import { consultOracle } from '@kstitch/oracle/oracle';
import type { QuestionedUnit } from '@kstitch/oracle/question';
import type { Context } from '@kstitch/report/context';
import { type Diagnostic } from '@kstitch/report/diagnostic';
import type { PatchedUnit } from './build-livepatch.ts';
import type { ChangedUnit } from './compile/compile-changed.ts';
import type { ShippedKernel } from './kernel/load-kernel.ts';

/** A finished module and what it was made of. */
export interface LivepatchCase {
  /** After post-link. */
  readonly module: Uint8Array;
  readonly kernel: ShippedKernel;
  readonly changed: readonly ChangedUnit[];
  /** All that were compared. */
  readonly units: readonly PatchedUnit[];
  /** Those that were linked, in the order of their numbers: `unit0.o`, `unit1.o` … */
  readonly linked: readonly PatchedUnit[];
}

/**
 * Asks the oracle. It reads files, with tools of its own, so all that it is to look at is written down first.
 *
 * @param directory - to be made
 * @returns what the module does otherwise than the source says; empty when it is right
 * @throws KstitchError - `host-disk-full`, and what {@link consultOracle} throws
 */
export async function judgeLivepatch(
  context: Context,
  { module, kernel, changed, units, linked }: LivepatchCase,
  directory: string,
): Promise<readonly Diagnostic[]> {
  const { kit, world } = kernel;
  await mkdir(directory).catch((error: unknown) => {
    throw fileError(`make '${directory}'`, error);
  });
  const write = async (name: string, bytes: Uint8Array): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, bytes).catch((error: unknown) => {
      throw fileError(`write '${path}'`, error);
    });
    return path;
  };
  const questions: QuestionedUnit[] = [];
  for (const [i, one] of changed.entries()) {
    const objects = await one.load();
    const before = await write(`${i}.before.o`, objects.before);
    const after = await write(`${i}.after.o`, objects.after);
    for (const unit of units.filter(({ command }) => command === one.command)) {
      const number = linked.indexOf(unit);
      questions.push({
        name: unit.command.source,
        linkedAs: number < 0 ? undefined : `unit${number}.o`,
        gate: unit.object,
        before,
        after,
        patched: unit.difference.selection.patched.map(({ atom, oldName, oldSympos }) => ({
          oldName,
          oldSympos,
          name: atom.name,
        })),
      });
    }
  }
  const opinion = await consultOracle(
    {
      module: await write('module.ko', module),
      units: questions,
      kernel: {
        named: name => world.kallsyms.named(name),
        vmlinux: kit.paths.vmlinux,
        symvers: kit.paths.symvers,
        module: async name => {
          const shipped = world.shippedModule(name);
          return shipped && (await write(`shipped-${name}.ko`, shipped.bytes));
        },
      },
    },
    context.signal,
  );
  return opinion.findings;
}
