import { readFile, unlink } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { fileError } from '@kstitch/host/files';
import { interruptedError } from '@kstitch/host/run';
import type { Context } from '@kstitch/report/context';
import { type Diagnostic, Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import type { Workshop } from '../root/workshop.ts';
import { compileFailure } from './compiler-messages.ts';
import type { UnitCommand } from './unit-command.ts';

export interface CompileOptions {
  readonly workshop: Workshop;
  /** The kit's tree, or a shadow of it. */
  readonly cwd: string;
  /** Where the object is written: an absolute path. */
  readonly output: string;
  /** Behind kbuild's own flags: {@link sectionFlags}. */
  readonly extraFlags?: readonly string[];
  /** Whether `cwd` holds patched source: what does not compile is then the patch's fault. */
  readonly patched: boolean;
}

/** One section a function and a data object: what the differ compares, and the extractor takes out. */
export const sectionFlags = ['-ffunction-sections', '-fdata-sections'] as const;

/** Bytes of a unit at most; the largest of a cloud flavour without debug information has 1.3 MB. */
const maxObjectSize = 64 * 1024 * 1024;

/**
 * Compiles one unit as kbuild would, without objtool and without debug information (-g changes no byte of code and costs a
 * third of the time).
 *
 * @returns the object's bytes
 * @throws KstitchError - `compile-error` with the compiler's words, first error first; `compile-unpatched-failed` when the
 *   source was not patched; `host-disk-full`, `interrupted`
 */
export async function compileUnit(
  context: Context,
  unit: UnitCommand,
  options: CompileOptions,
): Promise<Uint8Array> {
  const { workshop, cwd, output, extraFlags = [], patched } = options;
  const { status, stderr } = await workshop.run(
    unit.compiler,
    [
      ...unit.args,
      // Takes back every -g above.
      '-g0',
      ...extraFlags,
      '-fdiagnostics-color=never',
      '-c',
      '-o',
      output,
      unit.spelling,
    ],
    // Whatever the compiler says by its status is read below; only a missing program is an error of run().
    { cwd, signal: context.signal, allowStatus: [1, 2, 3, 4] },
  );
  if (status !== 0) {
    await unlink(output).catch(() => {});
    throw compileFailure(unit, stderr, patched);
  }
  try {
    const bytes = await readFile(output);
    if (bytes.length > maxObjectSize) {
      throw new KstitchError(
        'host-tool-output',
        `compile '${unit.source}': its object has ${bytes.length} bytes`,
      );
    }
    return bytes;
  } catch (error) {
    throw fileError(`read '${output}'`, error);
  }
}

/** One thing to compile, with its name for the progress display: `compile fs/ext4/mballoc.c (patched)`. */
export interface CompileJob<T> {
  readonly label: string;
  readonly work: () => Promise<T>;
}

/**
 * Runs jobs over the cores of this machine.
 *
 * All are run to their end, so that what is wrong with every unit is said at once, and always in the same order.
 *
 * @returns the results in the order of the jobs
 * @throws KstitchError - the first error that is not a finding; else a Refusal with the findings of all jobs
 */
export async function compileAll<T>(context: Context, jobs: readonly CompileJob<T>[]): Promise<readonly T[]> {
  const results = new Map<number, T>();
  const failures = new Map<number, unknown>();
  const queue = jobs.entries();
  const worker = async () => {
    for (const [index, job] of queue) {
      if (context.signal.aborted) return;
      try {
        results.set(index, await context.progress.step(job.label, job.work));
      } catch (error) {
        failures.set(index, error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs.length, availableParallelism()) }, worker));

  const inOrder = [...failures].toSorted(([a], [b]) => a - b).map(([, error]) => error);
  const refusals = inOrder.filter(error => error instanceof Refusal);
  for (const error of inOrder) if (!(error instanceof Refusal)) throw error;
  if (refusals.length > 0) throw new Refusal(onceEach(refusals.flatMap(refusal => refusal.diagnostics)));
  const skipped = jobs.find((_, index) => !results.has(index));
  if (skipped !== undefined) throw interruptedError(skipped.label);
  return [...results].toSorted(([a], [b]) => a - b).map(([, result]) => result);
}

/** What is wrong with a header is wrong with every unit that includes it, and is said once. */
function onceEach(diagnostics: readonly Diagnostic[]): readonly Diagnostic[] {
  const groups = Map.groupBy(diagnostics, ({ code, text, place: { unit, file, line } }) =>
    JSON.stringify([code, text, file ?? unit, line]),
  );
  return [...groups.values()].flatMap(([first, ...more]) => {
    if (first === undefined || more.length === 0) return first ?? [];
    const others = `the same in ${more.length} more ${more.length === 1 ? 'unit' : 'units'}`;
    return [{ ...first, notes: [...first.notes, others] }];
  });
}
