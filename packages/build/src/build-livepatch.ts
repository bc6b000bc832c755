/**
 * From source patches to a livepatch module and the record of how it came about.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { x86_64 } from '@kstitch/arch/x86-64';
import { diffUnit, type UnitDifference } from '@kstitch/diff/diff-unit';
import { type Extraction, extract } from '@kstitch/diff/extract';
import { LinkNames } from '@kstitch/diff/link-names';
import { referenceByName } from '@kstitch/diff/references';
import { readElf } from '@kstitch/elf/read';
import { fileError, withTemporaryDirectory, writeAtomically } from '@kstitch/host/files';
import { interruptedError } from '@kstitch/host/run';
import { type Bundle, formatBundle } from '@kstitch/livepatch/bundle';
import { checkLivepatch } from '@kstitch/livepatch/check';
import { livepatchModuleName, slugOf } from '@kstitch/livepatch/module-name';
import { type LivepatchPlan, VMLINUX } from '@kstitch/livepatch/plan';
import { postLink } from '@kstitch/livepatch/post-link';
import { renderWrapper, wrapperTemplate } from '@kstitch/livepatch/wrapper';
import type { Context } from '@kstitch/report/context';
import { type Diagnostic, Refusal, stopOnRefusals } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { version } from '@kstitch/report/version';
import { loadCompileDatabase } from './compile/compile-database.ts';
import { compileThrice, type UnitObjects } from './compile/compile-thrice.ts';
import { checkCompiler, type Toolchain } from './compile/compiler.ts';
import type { UnitCommand } from './compile/unit-command.ts';
import { describeLivepatch } from './describe-livepatch.ts';
import { loadKernel, type ShippedKernel } from './kernel/load-kernel.ts';
import { openKit } from './kit/kit.ts';
import { linkModule } from './link/link-module.ts';
import { findAffectedUnits } from './patch/affected-units.ts';
import { type AppliedPatch, applyPatches } from './patch/apply-patch.ts';
import type { PatchText } from './patch/parse-patch.ts';

export interface BuildRequest {
  /** Applied in this order. */
  readonly patches: readonly PatchText[];
  readonly release: string;
  /** What the user calls it: `ext4-mballoc`. */
  readonly name: string;
  /** Made when it is not there. */
  readonly outputDirectory: string;
}

export interface BuildResult {
  readonly modulePath: string;
  readonly bundlePath: string;
  readonly bundle: Bundle;
}

/** One affected unit and the object that it is part of. */
export interface PatchedUnit {
  readonly command: UnitCommand;
  readonly object: string;
  readonly difference: UnitDifference;
}

/**
 * Builds a livepatch. The same request on the same kernel gives the same bytes.
 *
 * @throws Refusal - where a stage finds that the patch cannot be live-patched; nothing is written then
 * @throws KstitchError - `kit-absent`, `no-functional-difference`, `compile-error`, and what else the stages throw
 */
export async function buildLivepatch(context: Context, request: BuildRequest): Promise<BuildResult> {
  const { progress } = context;
  const slug = slugOf(request.name);

  // What runs: the shipped image is the measure of everything that follows.
  const kernel = await progress.step('read the kernel', async () =>
    loadKernel(await openKit(request.release)),
  );
  const toolchain = await checkCompiler(context, kernel.banner);

  // What changes: texts in memory, then the units that are compiled from them.
  const patch = await applyPatches(context, kernel.kit, request.patches);
  const database = await loadCompileDatabase(kernel.kit);
  const commands = await findAffectedUnits(context, kernel.kit, database, patch);

  return await withTemporaryDirectory('build', async work => {
    // Every unit three times: as shipped, before, after. From here on the source is not looked at again.
    const objects = await compileThrice(context, kernel.kit, toolchain, patch, commands, work);

    // What must be in the livepatch. All units are judged before any finding stops the run.
    const units = await progress.step('compare', () => diffAll(kernel, commands, objects));
    const patched = units.filter(unit => unit.difference.selection.patched.length > 0);
    for (const unit of units) context.diagnostics.push(...unit.difference.diagnostics);
    if (patched.length === 0) throw noDifference(commands);

    // One object a unit, then one module. Names are final: they depend on the inputs alone.
    const moduleName = livepatchModuleName(
      slug,
      inputHash(request, kernel, toolchain, patch),
      kernel.moduleNames,
    );
    const { plan, extractions } = extractAll(kernel, moduleName, patched);
    const wrapperSource = renderWrapper(plan, {
      template: await readFile(wrapperTemplate, 'utf8'),
      replace: true,
      description: `${request.name} for ${kernel.kit.release}`,
    });
    const module = await progress.step('link the module', async () => {
      const linkDirectory = join(work, 'link');
      await mkdir(linkDirectory);
      const linked = await linkModule(context, kernel.kit, linkDirectory, {
        moduleName,
        wrapperSource,
        objects: extractions.map((extraction, i) => ({ name: `unit${i}`, bytes: extraction.object })),
      });
      return postLink(linked, plan);
    });

    // Held against the kernel once more, by code that knows nothing of how it was made.
    stopOnRefusals(checkLivepatch(module, plan, kernel.world));

    const bundle = describeLivepatch({
      patches: request.patches,
      patch,
      kernel,
      toolchain,
      plan,
      units,
      extractions,
      module,
      diagnostics: context.diagnostics,
    });
    return await writeResult(context, request.outputDirectory, module, bundle);
  });
}

/**
 * @throws Refusal - with the findings of all units
 */
async function diffAll(
  kernel: ShippedKernel,
  commands: readonly UnitCommand[],
  objects: readonly UnitObjects[],
): Promise<readonly PatchedUnit[]> {
  const units: PatchedUnit[] = [];
  const findings: Diagnostic[] = [];
  for (const [i, command] of commands.entries()) {
    const bytes = objects[i] as UnitObjects;
    // A unit that several modules share is patched in each of them.
    for (const object of command.owner === 'vmlinux' ? [VMLINUX] : command.owner) {
      const shipped = object === VMLINUX ? kernel.vmlinux : await kernel.module(object);
      try {
        const difference = diffUnit(
          {
            name: command.source,
            asShipped: readElf(bytes.asShipped, `${command.object} as shipped`),
            before: readElf(bytes.before, `${command.object} before`),
            after: readElf(bytes.after, `${command.object} after`),
          },
          kernel.symbolsFor(shipped),
          x86_64,
          kernel.entrySizes,
        );
        units.push({ command, object, difference });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        findings.push(...error.diagnostics);
      }
    }
  }
  stopOnRefusals(findings);
  return units;
}

function extractAll(
  kernel: ShippedKernel,
  moduleName: string,
  units: readonly PatchedUnit[],
): { readonly plan: LivepatchPlan; readonly extractions: readonly Extraction[] } {
  const linkNames = new LinkNames();
  const functions = new Map<string, LivepatchPlan['objects'][number]['functions'][number][]>();
  let aliases = 0;
  const extractions = units.map(({ command, object, difference: { selection } }) => {
    const shipped = selection.patched.map(f => ({ ...f, newSymbol: `kstitch_new_${aliases++}` }));
    const list = functions.get(object) ?? [];
    list.push(
      ...shipped.map(({ oldName, oldSympos, newSymbol }) => ({
        oldName,
        oldSympos,
        newSymbol,
        unit: command.source,
      })),
    );
    functions.set(object, list);
    const aliasOf = new Map(shipped.map(f => [f.atom, f.newSymbol]));
    return extract(selection, {
      gate: object,
      linkNames,
      aliasOf: atom => aliasOf.get(atom) ?? '',
      staticCallKey: key => {
        const reference = referenceByName(kernel.symbolsFor(kernel.vmlinux), key, {});
        return 'code' in reference ? undefined : reference;
      },
    });
  });
  // vmlinux first, then modules by name: the order of patching does not matter, the order of bytes does.
  const objects = [...functions]
    .map(([name, list]) => ({ name, functions: list }))
    .sort((a, b) => Number(b.name === VMLINUX) - Number(a.name === VMLINUX) || (a.name < b.name ? -1 : 1));
  return { plan: { moduleName, objects, references: linkNames.references() }, extractions };
}

/** Everything that decides about the bytes of the module, so that two different livepatches never share a name. */
function inputHash(
  request: BuildRequest,
  kernel: ShippedKernel,
  toolchain: Toolchain,
  patch: AppliedPatch,
): string {
  const inputs = [
    version,
    request.name,
    kernel.kit.release,
    kernel.kit.packageVersion,
    kernel.buildId,
    toolchain.compiler,
    toolchain.linker,
    patch.patches.map(({ sha256 }) => sha256),
  ];
  return createHash('sha256').update(JSON.stringify(inputs)).digest('hex');
}

function noDifference(commands: readonly UnitCommand[]): KstitchError {
  const names = commands.map(command => command.source).join(', ');
  return new KstitchError('no-functional-difference', `the patch makes no functional difference to ${names}`);
}

async function writeResult(
  context: Context,
  outputDirectory: string,
  module: Uint8Array,
  bundle: Bundle,
): Promise<BuildResult> {
  const directory = resolve(outputDirectory);
  const modulePath = join(directory, `${bundle.module}.ko`);
  const bundlePath = join(directory, `${bundle.module}.json`);
  if (context.signal.aborted) throw interruptedError(`write '${modulePath}'`);
  await mkdir(directory, { recursive: true }).catch((error: unknown) => {
    throw fileError(`make '${directory}'`, error);
  });
  await writeAtomically(modulePath, module);
  try {
    await writeAtomically(bundlePath, formatBundle(bundle));
  } catch (error) {
    // A module without its record would be a livepatch that nobody can account for.
    await unlink(modulePath).catch(() => {});
    throw error;
  }
  return { modulePath, bundlePath, bundle };
}
