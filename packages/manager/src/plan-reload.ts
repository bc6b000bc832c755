/** What has to be so before a module is loaded again: a fix that is taken out of force has to come back. */

import { run } from '@kstitch/host/run';
import type { Bundle } from '@kstitch/livepatch/bundle';
import { modulesNotReloadable } from '@kstitch/livepatch/module-reload';
import { type Diagnostic, diagnostic, stopOnRefusals } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import type { Manager } from './manager.ts';
import { preflight } from './preflight.ts';
import { isModuleLoaded, type LoadedLivepatch, readLivepatches, readModules } from './read-livepatches.ts';
import { systemPath } from './remove-module.ts';
import { freeSpace } from './store.ts';
import type { UnfinishedReload } from './unfinished-reload.ts';

export interface ReloadPlan {
  /** The module. */
  readonly target: string;
  /** The livepatch that is not in force meanwhile. */
  readonly livepatch: string;
  /** What it mends: CVEs and names of patches. */
  readonly fixes: readonly string[];
  /** For how long at least, in seconds. */
  readonly leastSeconds: number;
  /** An earlier run that was killed, or could not go on. */
  readonly unfinished: UnfinishedReload | undefined;
}

/**
 * @param graceSeconds - between disabling a livepatch and removing its module
 * @throws Refusal - `reload-livepatch-stays`, `reload-module-busy`, `reload-module-unknown`, and what loading the livepatch would throw
 * @throws KstitchError - `reload-not-needed`
 */
export async function planReload(
  manager: Manager,
  target: string,
  graceSeconds: number,
  unfinished: UnfinishedReload | undefined,
): Promise<ReloadPlan> {
  const { machine, store } = manager;
  const active = readLivepatches(machine).filter(({ phase }) => phase !== 'disabled' && phase !== 'held');
  // One that left no fix withdrawn has nothing to put back: what is in the way, if anything, is another matter.
  const own = unfinished?.target === target && unfinished.withdrawn ? unfinished : undefined;
  const name = own?.livepatch ?? (await findInTheWay(manager, active, target));
  const bundle = await store.bundle(name);
  const findings = [
    ...checkLivepatch(name, bundle, active),
    ...checkTarget(manager, target, own),
    ...(await checkDisk(target)),
  ];
  stopOnRefusals(findings);

  // Beyond this point the livepatch can be taken out; and loaded again is what it has to be.
  const files = store.read(name);
  if (bundle === undefined || files === undefined)
    throw new KstitchError('livepatch-unknown', `reload '${target}': the files of '${name}' are gone`);
  stopOnRefusals(
    await preflight(machine, manager.kernel, {
      bundle,
      module: files.module,
      drop: [],
      freeDisk: freeSpace(manager.stateDirectory),
      bundleOf: other => store.bundle(other),
    }),
  );
  return {
    target,
    livepatch: name,
    fixes: [...bundle.cves, ...bundle.patches.map(patch => patch.name)],
    leastSeconds: graceSeconds + 1,
    unfinished: own,
  };
}

/** @returns the livepatch because of which the module cannot simply be loaded again */
async function findInTheWay(
  { machine, store, kernel }: Manager,
  active: readonly LoadedLivepatch[],
  target: string,
): Promise<string> {
  const loaded = isModuleLoaded(machine, target);
  const notNeeded = (why: string) =>
    new KstitchError(
      'reload-not-needed',
      `reload '${target}': ${why}`,
      loaded ? {} : { help: `modprobe ${target}` },
    );
  if (modulesNotReloadable(kernel.release, [{ gate: target, object: target }]).length === 0)
    throw notNeeded('this kernel loads patched modules again by itself');
  for (const { name, objects } of active) {
    if (!objects.some(object => object.name === target)) continue;
    const bundle = await store.bundle(name);
    // Of another's livepatch nobody knows: it is refused by name.
    if (bundle === undefined || modulesNotReloadable(kernel.release, bundle.references).includes(target))
      return name;
  }
  throw notNeeded(loaded ? 'no livepatch is in the way' : 'it is not loaded');
}

function checkLivepatch(
  name: string,
  bundle: Bundle | undefined,
  active: readonly LoadedLivepatch[],
): Diagnostic[] {
  const refuse = (why: string, notes: readonly string[] = []) =>
    diagnostic('reload-livepatch-stays', {}, `'${name}' cannot be taken out and put back: ${why}`, { notes });
  if (bundle === undefined) return [refuse('kstitch did not load it')];
  // What is loaded again is loaded last, and one that replaces drops whatever came after it.
  const others = active.filter(livepatch => livepatch.name !== name);
  return [
    ...(bundle.unload.verdict === 'safe'
      ? []
      : [refuse('its module may not be removed', bundle.unload.reasons)]),
    ...(others.length === 0
      ? []
      : [refuse(`${others.map(other => `'${other.name}'`).join(', ')} would not stay as it is`)]),
  ];
}

function checkTarget(
  { machine }: Manager,
  target: string,
  unfinished: UnfinishedReload | undefined,
): Diagnostic[] {
  const loaded = readModules(machine).find(({ name }) => name === target);
  if (loaded === undefined || loaded.users === 0 || unfinished?.reloaded === true) return [];
  const by = loaded.usedBy.length > 0 ? `: by ${loaded.usedBy.join(', ')}` : '';
  return [diagnostic('reload-module-busy', {}, `module '${target}' is in use${by}`)];
}

/** What modprobe will load: a module that was loaded from elsewhere it does not find. */
async function checkDisk(target: string): Promise<Diagnostic[]> {
  try {
    const { stdout } = await run('modprobe', ['-D', target], { env: systemPath() });
    if (/^insmod /m.test(stdout)) return [];
  } catch (error) {
    if (!(error instanceof KstitchError) || error.code !== 'host-tool-failed') throw error;
  }
  return [diagnostic('reload-module-unknown', {}, `modprobe finds no module '${target}' to load again`)];
}
