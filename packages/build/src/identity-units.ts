import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '@kstitch/host/files';
import { KstitchError } from '@kstitch/report/error';
import type { CompileDatabase } from './compile/compile-database.ts';
import type { KernelTree } from './compile/kernel-tree.ts';
import type { UnitCommand } from './compile/unit-command.ts';
import type { AppliedPatch, ChangedFile } from './patch/apply-patch.ts';

/** What an identity livepatch is made of. */
export interface IdentityRequest {
  /** Sources, below the kernel's: `net/ipv4/tcp_input.c`. */
  readonly units: readonly string[];
  /** Functions of theirs that are not carried: a livepatch with schedule() never comes into force. */
  readonly leaveOut?: readonly string[];
}

/**
 * @returns a patch that changes nothing in the units named, and their commands
 * @throws KstitchError - `identity-not-a-unit`
 */
export async function findIdentityUnits(
  kit: KernelTree,
  database: CompileDatabase,
  { units }: IdentityRequest,
): Promise<{ readonly patch: AppliedPatch; readonly commands: readonly UnitCommand[] }> {
  const files: ChangedFile[] = [];
  const commands: UnitCommand[] = [];
  for (const path of [...new Set(units)].sort()) {
    const compiled = database.unitsFrom(path).filter(({ kind }) => kind === 'c');
    if (compiled.length === 0)
      throw new KstitchError(
        'identity-not-a-unit',
        `'${path}' is no unit of C that ${kit.release} is built from`,
      );
    const text = await readFile(join(kit.paths.tree, path), 'latin1').catch((error: unknown) => {
      throw fileError(`read '${path}' of the kernel source`, error);
    });
    files.push({ path, before: text, after: text, blocks: [] });
    commands.push(...compiled);
  }
  return { patch: { patches: [], files }, commands };
}
