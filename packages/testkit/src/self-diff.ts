/** A unit compared with itself, and with itself among other comments: there is no difference, or the differ is wrong. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { x86_64 } from '@kstitch/arch/x86-64';
import type { BuildGround } from '@kstitch/build/build-livepatch';
import { compileThrice } from '@kstitch/build/compile/compile-thrice';
import type { Toolchain } from '@kstitch/build/compile/compiler';
import type { UnitCommand } from '@kstitch/build/compile/unit-command';
import type { UnitObjects } from '@kstitch/build/compile/unit-compiler';
import { applyPatches } from '@kstitch/build/patch/apply-patch';
import { diffUnit } from '@kstitch/diff/diff-unit';
import { readElf } from '@kstitch/elf/read';
import { withTemporaryDirectory } from '@kstitch/host/files';
import { type Code } from '@kstitch/report/catalogue';
import { type Context } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { shiftLinesPatch } from './shift-lines.ts';

export interface SelfDifference {
  /**
   * `unplaced`: it is not what the shipped kernel holds, so that nothing was compared. `itself` and `shifted`: it differs
   * from what it should equal.
   */
  readonly outcome: 'same' | 'unplaced' | 'itself' | 'shifted';
  /** What differs, or what speaks against the place. */
  readonly findings: readonly string[];
  /** Functions that were compared. */
  readonly functions: number;
  /** Whether the shifted source compiles to the same object, byte for byte. */
  readonly sameBytes: boolean;
}

/** Codes of what is found before anything is compared. */
const beforehand: readonly Code[] = [
  'run-pre-mismatch',
  'run-pre-missing',
  'run-pre-ambiguous',
  'run-pre-extra-symbol',
  'inlining-differs',
];

/**
 * Takes the way of a build: patch, applied source with held lines, three compilations, differ.
 *
 * @param random - decides where lines are put in
 */
export async function compareWithItself(
  context: Context,
  { kernel }: BuildGround,
  toolchain: Toolchain,
  unit: UnitCommand,
  random: () => number,
): Promise<SelfDifference> {
  const { kit } = kernel;
  const text = await readFile(join(kit.paths.tree, unit.source), 'latin1');
  const bytes = Buffer.from(shiftLinesPatch(unit.source, text, random), 'latin1');
  const patch = await applyPatches(context, kit, [{ name: 'shift.patch', bytes }]);
  return await withTemporaryDirectory('self-diff', async directory => {
    const [objects] = await compileThrice(context, kit, toolchain, patch, [unit], directory);
    if (objects === undefined) throw new RangeError('Cannot compare a unit: it was not compiled');
    const { asShipped, before } = objects;
    const sameBytes = Buffer.compare(before, objects.after) === 0;
    const itself = await compare(kernel, unit, { asShipped, before, after: before });
    if (itself.unplaced || itself.findings.length > 0)
      return {
        outcome: itself.unplaced ? 'unplaced' : 'itself',
        findings: itself.findings,
        functions: itself.functions,
        sameBytes,
      };
    const { findings, functions } = await compare(kernel, unit, objects);
    return { outcome: findings.length === 0 ? 'same' : 'shifted', findings, functions, sameBytes };
  });
}

async function compare(
  kernel: BuildGround['kernel'],
  unit: UnitCommand,
  { asShipped, before, after }: UnitObjects,
): Promise<{ readonly findings: readonly string[]; readonly functions: number; readonly unplaced: boolean }> {
  const object = unit.owner === 'vmlinux' ? 'vmlinux' : (unit.owner[0] ?? '');
  const shipped = object === 'vmlinux' ? kernel.vmlinux : await kernel.module(object);
  try {
    const { selection, runPre, diagnostics } = diffUnit(
      {
        name: unit.source,
        asShipped: readElf(asShipped, `${unit.object} as shipped`),
        before: readElf(before, `${unit.object} before`),
        after: readElf(after, `${unit.object} after`),
      },
      kernel.symbolsFor(shipped),
      x86_64,
      kernel.entrySizes,
    );
    const findings = [
      ...selection.patched.map(({ atom }) => `changed: ${atom.name}()`),
      ...diagnostics.map(({ code, text }) => `${code}: ${text}`),
    ];
    return { findings, functions: runPre.functions, unplaced: false };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const findings = error.diagnostics.map(({ code, text }) => `${code}: ${text}`);
    return { findings, functions: 0, unplaced: beforehand.includes(error.code) };
  }
}
