import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { fileError, writeAtomically } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import { compileUnit } from './compile-unit.ts';
import type { Toolchain } from './compiler.ts';
import type { KernelTree } from './kernel-tree.ts';
import type { UnitCommand } from './unit-command.ts';

/** Raised when what {@link compileUnit} adds to a command changes. */
const cacheSchema = 1;

export interface CachedCompileOptions {
  /** Where the object is written on the way: an absolute path. */
  readonly output: string;
  readonly extraFlags?: readonly string[];
  readonly toolchain: Toolchain;
}

/**
 * Compiles a unit of the unpatched source, or takes what an earlier run made of it.
 *
 * A kit never changes, so package version, command and compiler say all about the result; no source needs to be read.
 *
 * @returns the object's bytes
 * @throws KstitchError - as {@link compileUnit}
 */
export async function cachedCompile(
  context: Context,
  kit: KernelTree,
  unit: UnitCommand,
  options: CachedCompileOptions,
): Promise<Uint8Array> {
  const { output, extraFlags = [], toolchain } = options;
  const inputs = [
    cacheSchema,
    kit.release,
    kit.packageVersion,
    toolchain.compiler,
    unit.compiler,
    unit.args,
    extraFlags,
    unit.spelling,
    // Another assembler writes other bytes.
    ...(kit.workshop.root?.packages.map(({ sha256 }) => sha256) ?? []),
  ];
  const key = createHash('sha256').update(JSON.stringify(inputs)).digest('hex');
  const folder = join(cacheDirectory(), 'units', key.slice(0, 2));
  const file = join(folder, `${key}.o`);
  const cached = await readFile(file).catch(() => undefined);
  if (cached !== undefined) return cached;

  const bytes = await compileUnit(context, unit, {
    workshop: kit.workshop,
    cwd: kit.paths.tree,
    output,
    extraFlags,
    patched: false,
  });
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw fileError(`write '${folder}'`, error);
  });
  await writeAtomically(file, bytes);
  return bytes;
}
