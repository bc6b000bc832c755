/**
 * From source patches to a livepatch module and the record of how it came about.
 */
import { createHash } from 'node:crypto';
import { mkdir, unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { x86_64 } from '@kstitch/arch/x86-64';
import { detach } from '@kstitch/diff/detach';
import { diffUnit, type UnitDifference } from '@kstitch/diff/diff-unit';
import { type Extraction, extract } from '@kstitch/diff/extract';
import { LinkNames } from '@kstitch/diff/link-names';
import { referenceByName } from '@kstitch/diff/references';
import type { Atom } from '@kstitch/diff/unit/atom';
import { readElf } from '@kstitch/elf/read';
import { readAsset } from '@kstitch/host/asset';
import { fileError, withTemporaryDirectory, writeAtomically } from '@kstitch/host/files';
import { interruptedError } from '@kstitch/host/run';
import { type Bundle, formatBundle } from '@kstitch/livepatch/bundle';
import { checkLivepatch } from '@kstitch/livepatch/check';
import { findConflicts } from '@kstitch/livepatch/find-conflicts';
import { livepatchModuleName, slugOf } from '@kstitch/livepatch/module-name';
import {
  type LivepatchPlan,
  type ObjectCallback,
  type PatchedFunction,
  type SystemState,
  VMLINUX,
} from '@kstitch/livepatch/plan';
import { postLink } from '@kstitch/livepatch/post-link';
import { renderWrapper, wrapperTemplate } from '@kstitch/livepatch/wrapper';
import type { Context } from '@kstitch/report/context';
import { type Diagnostic, Refusal, stopOnRefusals } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { version } from '@kstitch/report/version';
import { checkExports } from './check-exports.ts';
import { type Accepted, acceptedLayouts, checkAccepted, checkTypes } from './check-types.ts';
import { type ChangedUnit, compileChanged } from './compile/compile-changed.ts';
import { type CompileDatabase, loadCompileDatabase } from './compile/compile-database.ts';
import { checkCompiler, type Toolchain } from './compile/compiler.ts';
import type { UnitCommand } from './compile/unit-command.ts';
import { describeLivepatch } from './describe-livepatch.ts';
import { findAllPeers, objectsOf } from './find-all-peers.ts';
import { findIdentityUnits, type IdentityRequest } from './identity-units.ts';
import { judgeLivepatch } from './judge-livepatch.ts';
import { loadKernel, type ShippedKernel } from './kernel/load-kernel.ts';
import { openKit } from './kit/kit.ts';
import { locateFindings } from './lines/locate-findings.ts';
import { placeWarnings } from './lines/place-warnings.ts';
import { linkModule } from './link/link-module.ts';
import { defaultMaxUnits, findAffectedUnits } from './patch/affected-units.ts';
import { type AppliedPatch, applyPatches } from './patch/apply-patch.ts';
import { withEarlierPatches } from './patch/earlier-patches.ts';
import type { PatchText } from './patch/parse-patch.ts';

export interface BuildRequest {
  /** Applied in this order, after those of `on`. */
  readonly patches: readonly PatchText[];
  /** In place of patches: units that the livepatch is to carry unchanged. */
  readonly identity?: IdentityRequest;
  /** Livepatches that the new one contains, earliest first. */
  readonly on?: readonly Bundle[];
  /** Types and enumerators whose change the author answers for: `ext4_free_data`. */
  readonly acceptLayout?: readonly string[];
  /** More affected units than this are refused; default {@link defaultMaxUnits}. */
  readonly maxUnits?: number;
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

/** What a build stands on and never changes: read once, good for any number of builds. */
export interface BuildGround {
  readonly kernel: ShippedKernel;
  readonly database: CompileDatabase;
}

/**
 * Builds a livepatch. The same request on the same kernel gives the same bytes.
 *
 * @throws Refusal - where a stage finds that the patch cannot be live-patched; nothing is written then
 * @throws KstitchError - `kit-absent`, `no-functional-difference`, `compile-error`, and what else the stages throw
 */
export async function buildLivepatch(context: Context, request: BuildRequest): Promise<BuildResult> {
  return await buildOn(context, await readGround(context, request.release), request);
}

/**
 * @param release - as `uname -r` prints it
 * @throws KstitchError - `kit-absent`, and what reading the kernel and the kit's record of its units throws
 */
export async function readGround(context: Context, release: string): Promise<BuildGround> {
  const kernel = await context.progress.step('read the kernel', async () =>
    loadKernel(await openKit(release)),
  );
  return { kernel, database: await loadCompileDatabase(kernel.kit) };
}

/**
 * As {@link buildLivepatch}, for a caller that builds more than one livepatch.
 *
 * @throws Refusal, KstitchError - as {@link buildLivepatch}
 */
export async function buildOn(
  context: Context,
  ground: BuildGround,
  request: Omit<BuildRequest, 'release'>,
): Promise<BuildResult> {
  // A name that cannot be is not worth waiting for the compiler.
  slugOf(request.name);
  const source = await changeSource(context, ground, request);
  return await withTemporaryDirectory('build', async work => {
    const compiled = await compileSource(context, ground, source, request, work);
    const { module, bundle } = await makeLivepatch(context, ground, source, compiled, request, work);
    return await writeResult(context, request.outputDirectory, module, bundle);
  });
}

/** What becomes of the source, before anything is compiled. */
export interface ChangedSource {
  readonly toolchain: Toolchain;
  /** Those of the livepatches that the new one contains first. */
  readonly patches: readonly PatchText[];
  readonly patch: AppliedPatch;
  /** Where they were named, not found out. */
  readonly named: readonly UnitCommand[] | undefined;
}

/**
 * @throws KstitchError - what is wrong with the compiler of this machine, or with the patches
 */
export async function changeSource(
  context: Context,
  { kernel, database }: BuildGround,
  { patches: own, on = [], identity }: Pick<BuildRequest, 'patches' | 'on' | 'identity'>,
): Promise<ChangedSource> {
  // What runs: the shipped image is the measure of everything that follows.
  const toolchain = await checkCompiler(context, kernel.kit.workshop, kernel.banner);

  // What changes: texts in memory.
  const { release, packageVersion } = kernel.kit;
  const patches = withEarlierPatches({ release, packageVersion, buildId: kernel.buildId }, on, own);
  if (identity === undefined)
    return {
      toolchain,
      patches,
      patch: await applyPatches(context, kernel.kit, patches),
      named: undefined,
    };
  const { patch, commands } = await findIdentityUnits(kernel.kit, database, identity);
  return { toolchain, patches, patch, named: commands };
}

/** The units that are compiled from changed source, and those of them that go on to be compared. */
export interface CompiledSource {
  readonly commands: readonly UnitCommand[];
  readonly changed: readonly ChangedUnit[];
}

/**
 * @param work - a folder that is kept until the last unit was loaded
 * @throws Refusal - what no livepatch reaches, and source that does not compile
 */
export async function compileSource(
  context: Context,
  { kernel, database }: BuildGround,
  { toolchain, patch, named }: ChangedSource,
  { maxUnits = defaultMaxUnits }: Pick<BuildRequest, 'maxUnits'>,
  work: string,
): Promise<CompiledSource> {
  const commands = named ?? (await findAffectedUnits(context, kernel.kit, database, patch, { maxUnits }));

  // Every unit before and after, and where that differs, as shipped. From here on the source is not looked at again.
  const wanted = named === undefined ? 'differing' : 'all';
  const changed = await compileChanged(context, kernel.kit, toolchain, patch, commands, work, wanted);
  return { commands, changed };
}

/**
 * From compiled units to a livepatch in memory.
 *
 * @throws Refusal, KstitchError - as {@link buildLivepatch}
 */
export async function makeLivepatch(
  context: Context,
  { kernel }: BuildGround,
  { toolchain, patches, patch }: ChangedSource,
  { commands, changed }: CompiledSource,
  request: Pick<BuildRequest, 'name' | 'on' | 'identity' | 'acceptLayout'>,
  work: string,
): Promise<{ readonly module: Uint8Array; readonly bundle: Bundle }> {
  const { progress } = context;
  const { identity } = request;

  // Findings name functions and offsets; who reads them wants lines.
  const locate = async (findings: readonly Diagnostic[]) =>
    await locateFindings(context, { kit: kernel.kit, patch, changed }, findings);

  const accepted = acceptedBy(request);
  const typeChanges = changed.flatMap(unit => unit.typeChanges);
  checkAccepted(typeChanges, accepted.names);

  // What must be in the livepatch. All units are judged before any finding stops the run.
  const units = await progress.step('compare', () =>
    diffAll(context, kernel, changed, { identity, accepted, files: patch.files }, locate),
  );
  const patched = units.filter(
    ({ difference: { selection } }) => selection.atoms.length + selection.states.length > 0,
  );
  context.diagnostics.push(...(await locate(units.flatMap(unit => unit.difference.diagnostics))));
  if (identity !== undefined) checkLeftOut(identity, units);
  if (patched.length === 0) throw noDifference(commands, identity);
  const inPatch = new Set(patched.map(({ command }) => command));
  const patchedUnits = changed.filter(({ command }) => inPatch.has(command));
  const types = [
    ...checkTypes(patchedUnits, accepted, patch.files),
    ...checkExports(patchedUnits, kernel.world.symvers),
  ];
  stopOnRefusals(types);
  context.diagnostics.push(...types);

  // One object a unit, then one module. Names are final: they depend on the inputs alone.
  const moduleName = livepatchModuleName(
    slugOf(request.name),
    inputHash(request, kernel, toolchain, patch),
    kernel.moduleNames,
  );
  const { plan, extractions } = extractAll(kernel, moduleName, patched);
  stopOnRefusals(findConflicts(plan));
  const wrapperSource = renderWrapper(plan, {
    template: readAsset(wrapperTemplate),
    replace: true,
    description: `${request.name} for ${kernel.kit.release}`,
    namespaces: namespacesOf(kernel, extractions),
  });
  const module = await progress.step('link the module', async () => {
    const linkDirectory = join(work, 'link');
    await mkdir(linkDirectory);
    const linked = await linkModule(context, kernel.kit, linkDirectory, {
      moduleName,
      wrapperSource,
      objects: extractions.map((extraction, i) => ({ name: `unit${i}`, bytes: extraction.object })),
    }).catch(async (error: unknown) => {
      if (!(error instanceof Refusal)) throw error;
      throw new Refusal(await locate(placeWarnings(error.diagnostics, patched)));
    });
    return postLink(linked, plan);
  });

  // Held against the kernel once more, by code that knows nothing of how it was made. It wants every module that
  // something is looked up in.
  await kernel.hold(
    new Set([
      ...units.map(({ object }) => object),
      ...plan.objects.map(({ name }) => name),
      ...plan.references.map(({ object }) => object),
    ]),
  );
  stopOnRefusals(checkLivepatch(module, plan, kernel.world));

  // And against what the compiler made of the source, by code that shares none with all of the above.
  const linked = { module, kernel, changed, units, linked: patched };
  stopOnRefusals(
    await progress.step('judge the module', () => judgeLivepatch(context, linked, join(work, 'oracle'))),
  );

  const bundle = describeLivepatch({
    patches,
    patch,
    identity: identity !== undefined,
    kernel,
    toolchain,
    plan,
    units,
    extractions,
    acceptedLayouts: acceptedLayouts(typeChanges, accepted),
    module,
    diagnostics: context.diagnostics,
  });
  return { module, bundle };
}

/** What the request says besides which source is patched. */
interface Concessions {
  readonly identity: IdentityRequest | undefined;
  readonly accepted: Accepted;
  readonly files: AppliedPatch['files'];
}

/** What the author of a livepatch answers for, and those of the livepatches that it contains did. */
export function acceptedBy({
  acceptLayout = [],
  on = [],
}: Pick<BuildRequest, 'acceptLayout' | 'on'>): Accepted {
  return { names: acceptLayout, earlier: on.flatMap(bundle => bundle.acceptedLayouts) };
}

/**
 * @throws Refusal - with the findings of all units
 */
async function diffAll(
  context: Context,
  kernel: ShippedKernel,
  changed: readonly ChangedUnit[],
  { identity, accepted, files }: Concessions,
  locate: (findings: readonly Diagnostic[]) => Promise<readonly Diagnostic[]>,
): Promise<readonly PatchedUnit[]> {
  const identityBut = identity && new Set(identity.leaveOut);
  const units: PatchedUnit[] = [];
  const refused: ChangedUnit[] = [];
  const { peersOf, diagnostics } = await findAllPeers(context, kernel, changed);
  const findings = [...diagnostics];
  for (const unit of changed) {
    const { command } = unit;
    const bytes = await unit.load();
    // A unit that several modules share is patched in each of them.
    for (const object of objectsOf(command)) {
      const shipped = object === VMLINUX ? kernel.vmlinux : await kernel.module(object);
      try {
        const difference = diffUnit(
          {
            name: command.source,
            asShipped: readElf(bytes.asShipped, `${command.object} as shipped`),
            before: readElf(bytes.before, `${command.object} before`),
            after: readElf(bytes.after, `${command.object} after`),
            ...(identityBut && { identityBut }),
          },
          kernel.symbolsFor(shipped),
          x86_64,
          kernel.entrySizes,
          peersOf(object),
        );
        // The next unit needs the memory of this one.
        units.push({
          command,
          object,
          difference: { ...difference, selection: detach(difference.selection) },
        });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        findings.push(...error.diagnostics);
        refused.push(unit);
      }
    }
  }
  // A changed type is often the reason for the rest.
  if (refused.length > 0) findings.push(...checkTypes(refused, accepted, files));
  if (findings.some(({ severity }) => severity === 'refusal')) stopOnRefusals(await locate(findings));
  return units;
}

function extractAll(
  kernel: ShippedKernel,
  moduleName: string,
  units: readonly PatchedUnit[],
): { readonly plan: LivepatchPlan; readonly extractions: readonly Extraction[] } {
  const linkNames = new LinkNames(name => kernel.world.symvers.has(name));
  const planned = new Map<string, { functions: PatchedFunction[]; callbacks: ObjectCallback[] }>();
  const states: SystemState[] = [];
  let aliases = 0;
  const extractions = units.flatMap(({ command, object, difference: { selection } }) => {
    const unit = command.source;
    const aliasOf = new Map<Atom, string>();
    for (const { atom } of [...selection.patched, ...selection.callbacks]) {
      if (!aliasOf.has(atom)) aliasOf.set(atom, `kstitch_new_${aliases++}`);
    }
    const newSymbolOf = (atom: Atom): string => aliasOf.get(atom) ?? '';
    const { functions, callbacks } = planned.get(object) ?? { functions: [], callbacks: [] };
    planned.set(object, { functions, callbacks });
    functions.push(
      ...selection.patched.map(({ atom, oldName, oldSympos }) => ({
        oldName,
        oldSympos,
        newSymbol: newSymbolOf(atom),
        unit,
      })),
    );
    callbacks.push(
      ...selection.callbacks.map(({ kind, atom }) => ({
        kind,
        name: atom.name,
        newSymbol: newSymbolOf(atom),
        unit,
      })),
    );
    states.push(...selection.states.map(state => ({ ...state, unit })));
    // Which may be all that was asked for; the linker takes no empty object.
    if (selection.atoms.length === 0) return [];
    const extraction = extract(selection, {
      gate: object,
      linkNames,
      aliasOf: newSymbolOf,
      staticCallKey: key => {
        const reference = referenceByName(kernel.symbolsFor(kernel.vmlinux), key, {});
        return 'code' in reference ? undefined : reference;
      },
    });
    return [extraction];
  });
  // vmlinux first, then modules by name: the order of patching does not matter, the order of bytes does.
  const objects = [...planned]
    .map(([name, { functions, callbacks }]) => ({ name, functions, callbacks }))
    .sort((a, b) => Number(b.name === VMLINUX) - Number(a.name === VMLINUX) || (a.name < b.name ? -1 : 1));
  return { plan: { moduleName, objects, states, references: linkNames.references() }, extractions };
}

/** Everything that decides about the bytes of the module, so that two different livepatches never share a name. */
function inputHash(
  request: Pick<BuildRequest, 'name' | 'identity'>,
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
    ...(request.identity === undefined ? [] : [request.identity.units, request.identity.leaveOut ?? []]),
  ];
  return createHash('sha256').update(JSON.stringify(inputs)).digest('hex');
}

/** A typing error would leave in what was to be left out, and that may hang the machine. */
function checkLeftOut({ leaveOut = [] }: IdentityRequest, units: readonly PatchedUnit[]): void {
  const left = new Set(units.flatMap(({ difference }) => difference.leftOut.map(({ name }) => name)));
  const unknown = leaveOut.filter(name => !left.has(name));
  if (unknown.length > 0)
    throw new KstitchError('usage', `no unit has a function '${unknown.join("', '")}' to leave out`);
}

function noDifference(commands: readonly UnitCommand[], identity: IdentityRequest | undefined): KstitchError {
  const names = commands.map(command => command.source).join(', ');
  if (identity !== undefined)
    return new KstitchError('identity-empty', `no function of ${names} can be carried unchanged`);
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

function namespacesOf(kernel: ShippedKernel, extractions: readonly Extraction[]): string[] {
  const names = extractions.flatMap(({ exports }) =>
    exports.flatMap(name => kernel.world.symvers.get(name)?.namespace ?? []),
  );
  return [...new Set(names)].filter(name => name !== '').sort();
}
