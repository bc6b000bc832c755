import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileError } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import { type Diagnostic, diagnostic, stopOnRefusals } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import type { CompileDatabase } from '../compile/compile-database.ts';
import type { KernelTree } from '../compile/kernel-tree.ts';
import type { UnitCommand } from '../compile/unit-command.ts';
import type { AppliedPatch, ChangedFile } from './apply-patch.ts';

/** What a changed file means for this kernel. */
type Effect =
  | { readonly kind: 'units'; readonly units: readonly UnitCommand[] }
  | { readonly kind: 'ignored'; readonly why: string };

/**
 * Finds the units that have to be compiled anew: those of the changed .c files, and those that include one (`#include "rt.c"`, as
 * kernel/sched/build_policy.c does).
 *
 * @returns the units, sorted by source
 * @throws Refusal - `patch-header`, `patch-assembly`, `patch-changes-build`, `patch-outside-kernel`, all of the patch together
 * @throws KstitchError - `patch-touches-nothing-built`
 */
export async function findAffectedUnits(
  context: Context,
  kit: KernelTree,
  database: CompileDatabase,
  patch: AppliedPatch,
): Promise<readonly UnitCommand[]> {
  const found: Diagnostic[] = [];
  const units = new Map<string, UnitCommand>();
  const ignored: { readonly path: string; readonly why: string }[] = [];
  for (const file of patch.files) {
    const effect = await effectOf(kit, database, file, found);
    if (effect.kind === 'ignored') ignored.push({ path: file.path, why: effect.why });
    else for (const unit of effect.units) units.set(unit.object, unit);
  }
  stopOnRefusals(found);
  const notes = ignored.map(({ path, why }) => `'${path}' is not compiled: ${why}`);
  if (units.size === 0) {
    throw new KstitchError(
      'patch-touches-nothing-built',
      `no file of the patch is compiled for ${kit.release}`,
      { notes },
    );
  }
  context.diagnostics.push(...found);
  for (const [index, { path }] of ignored.entries()) {
    context.diagnostics.push(diagnostic('patch-file-ignored', { file: path }, notes[index] ?? ''));
  }
  return [...units.values()].toSorted((a, b) => (a.source < b.source ? -1 : 1));
}

async function effectOf(
  kit: KernelTree,
  database: CompileDatabase,
  file: ChangedFile,
  found: Diagnostic[],
): Promise<Effect> {
  const { path } = file;
  const place = { file: path };
  const nothing: Effect = { kind: 'units', units: [] };
  const why = outsideBuild(path);
  if (why !== undefined) return { kind: 'ignored', why };

  if (/\.[cS]$/.test(path)) {
    const own = database.unitsFrom(path);
    const foreign = database.foreignUnitsFrom(path);
    const units = path.endsWith('.c') ? [...own, ...(await includersOf(kit, database, path))] : own;
    if (units.length === 0 && foreign.length === 0)
      return { kind: 'ignored', why: 'this flavour leaves it out' };
    const partOf = foreign[0]?.partOf;
    if (partOf !== undefined && units.length === 0) {
      found.push(diagnostic('patch-outside-kernel', place, `'${path}' becomes part of ${partOf}`));
      return nothing;
    }
    if (path.endsWith('.S')) {
      found.push(diagnostic('patch-assembly', place, `'${path}' is assembly`));
      return nothing;
    }
    if (file.after === undefined) {
      found.push(diagnostic('patch-changes-build', place, `'${path}' is taken out of the kernel`));
      return nothing;
    }
    if (partOf !== undefined)
      found.push(diagnostic('patch-second-copy', place, `'${path}' is also part of ${partOf}`));
    return { kind: 'units', units };
  }
  if (path.endsWith('.h')) found.push(diagnostic('patch-header', place, `'${path}' is a header`));
  else
    found.push(
      diagnostic('patch-changes-build', place, `'${path}' decides what is built, not what a function does`),
    );
  return nothing;
}

/** Folders whose files never become part of a kernel image or module. */
const outsideFolders = [
  ['Documentation/', 'documentation'],
  ['LICENSES/', 'documentation'],
  ['samples/', 'an example'],
  ['tools/testing/', 'a test'],
  ['tools/perf/', 'a program of its own'],
] as const;

/** @returns why a file takes no part in building a kernel of this architecture; undefined when it may */
function outsideBuild(path: string): string | undefined {
  const folder = outsideFolders.find(([start]) => path.startsWith(start));
  if (folder !== undefined) return folder[1];
  if (
    /\.(?:rst|txt|md)$/.test(path) ||
    /(?:^|\/)(?:README|MAINTAINERS|CREDITS|COPYING|\.gitignore|\.mailmap)$/.test(path)
  ) {
    return 'documentation';
  }
  const architecture = /^arch\/([\w-]+)\//.exec(path)?.[1];
  // User-mode Linux (arch/um) is an architecture of its own.
  if (architecture !== undefined && architecture !== 'x86') return `for the architecture ${architecture}`;
  return undefined;
}

/** Units beside a .c file that include it; some of the scheduler and of the crypto code is put together so. */
async function includersOf(
  kit: KernelTree,
  database: CompileDatabase,
  path: string,
): Promise<readonly UnitCommand[]> {
  const folder = dirname(path);
  const name = path.slice(folder.length + 1);
  const names = await readdir(join(kit.paths.tree, folder)).catch(() => []);
  const including = new RegExp(`^\\s*#\\s*include\\s*"(?:\\./)?${name.replaceAll(/[^\w]/g, '\\$&')}"`, 'm');
  const units: UnitCommand[] = [];
  for (const other of names.filter(candidate => candidate.endsWith('.c') && candidate !== name)) {
    const source = `${folder}/${other}`;
    const own = database.unitsFrom(source);
    if (own.length === 0) continue;
    const text = await readFile(join(kit.paths.tree, source), 'latin1').catch((error: unknown) => {
      throw fileError(`read '${source}' of the kernel source`, error);
    });
    if (including.test(text)) units.push(...own);
  }
  return units;
}
