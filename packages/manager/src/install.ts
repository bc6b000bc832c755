/** What the boots to come load: one livepatch for each kernel release, put there and taken away by name. */
import { parseBundle } from '@kstitch/livepatch/bundle';
import type { Context } from '@kstitch/report/context';
import { diagnostic, stopOnRefusals } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { hasTripped, Installed, type InstalledEntry } from './installed.ts';
import { beginAction } from './journal.ts';
import { alone, type Manager } from './manager.ts';
import { checkFiles, checkKernel } from './preflight.ts';
import { readPhase } from './read-livepatches.ts';
import { type LivepatchFiles, Store } from './store.ts';

export interface InstallRequest {
  readonly files: LivepatchFiles;
  /** For messages: the record's name. */
  readonly what: string;
  /** For help: what was typed for it. */
  readonly typed?: string;
  /** Whether another one may be replaced. */
  readonly replace: boolean;
}

export interface InstallResult {
  readonly livepatch: string;
  /** Release of the kernel that will load it. */
  readonly kernel: string;
  /** What was installed for that kernel before; undefined when nothing was, or this very livepatch. */
  readonly replaced: string | undefined;
  /** A guard had kept it out: it will be loaded again. */
  readonly armed: boolean;
  /** Whether it is in the running kernel already. */
  readonly active: boolean;
}

/**
 * @throws Refusal - `load-module-changed`, `load-module-foreign`, `load-other-kernel`
 * @throws KstitchError - `install-taken`, `bundle-*`, `host-*`, `interrupted`
 */
export async function installLivepatch(
  context: Context,
  manager: Manager,
  request: InstallRequest,
): Promise<InstallResult> {
  const bundle = parseBundle(request.files.record, request.what);
  const name = bundle.module;
  const { release } = bundle.kernel;
  const runs = release === manager.kernel.release;
  stopOnRefusals([
    ...checkFiles({ bundle, module: request.files.module }),
    // Of the kernel that does not run only the release is known.
    ...(runs ? checkKernel(manager.kernel, bundle) : []),
  ]);

  return await alone(context, manager, async () => {
    const installed = new Installed(manager.stateDirectory);
    const store = new Store(manager.stateDirectory, release);
    const before = installed.read(release)?.livepatch;
    const replaced = before === name ? undefined : before;
    if (replaced !== undefined && !request.replace)
      throw new KstitchError(
        'install-taken',
        `install '${name}': '${replaced}' is installed for '${release}', and one kernel has one`,
        request.typed === undefined
          ? {}
          : { help: `put this one in its place: kstitch install ${request.typed} --replace` },
      );
    const lost = replaced === undefined ? [] : lostPatches(bundle, await store.bundle(replaced));
    if (lost.length > 0)
      context.diagnostics.push(
        diagnostic(
          'install-drops-patch',
          {},
          `'${name}' lacks what '${replaced}' mends: ${lost.map(patch => `'${patch}'`).join(', ')}`,
        ),
      );

    const kernel = { release, bootId: manager.kernel.bootId };
    const action = beginAction(manager.journal, kernel, 'install', name, context.diagnostics);
    await store.keep(name, request.files);
    await installed.write(release, name);
    // Beyond this point it is installed. The guard of a load that goes on in this boot stays.
    const armed = hasTripped(installed.readGuard(release), name, manager.kernel.bootId);
    if (armed) await installed.removeGuard(release);
    action.end('installed', [
      ...(replaced === undefined ? [] : [`in place of ${replaced}`]),
      ...(armed ? ['armed again'] : []),
    ]);
    return {
      livepatch: name,
      kernel: release,
      replaced,
      armed,
      active: runs && readPhase(manager.machine, name) === 'active',
    };
  });
}

function lostPatches(
  { patches }: { readonly patches: readonly { readonly sha256: string }[] },
  before: { readonly patches: readonly { readonly name: string; readonly sha256: string }[] } | undefined,
): string[] {
  const kept = new Set(patches.map(({ sha256 }) => sha256));
  return before?.patches.filter(({ sha256 }) => !kept.has(sha256)).map(({ name }) => name) ?? [];
}

export interface UninstallResult {
  readonly removed: readonly InstalledEntry[];
  /** Those of them that are in the running kernel, and stay there. */
  readonly active: readonly string[];
}

/**
 * @param which - a kernel release or a livepatch's name; undefined: what is installed for the running kernel
 * @throws KstitchError - `uninstall-nothing`, `host-*`, `interrupted`
 */
export async function uninstallLivepatch(
  context: Context,
  manager: Manager,
  which: string = manager.kernel.release,
): Promise<UninstallResult> {
  return await alone(context, manager, async () => {
    const installed = new Installed(manager.stateDirectory);
    const removed = installed
      .list()
      .filter(({ kernel, livepatch }) => kernel === which || livepatch === which);
    if (removed.length === 0)
      throw new KstitchError('uninstall-nothing', `uninstall '${which}': nothing of that name is installed`);
    for (const { kernel, livepatch = 'unknown' } of removed) {
      const { bootId } = manager.kernel;
      const action = beginAction(
        manager.journal,
        { release: kernel, bootId },
        'uninstall',
        livepatch,
        context.diagnostics,
      );
      await installed.remove(kernel);
      action.end('uninstalled');
    }
    const active = removed.flatMap(({ livepatch }) =>
      livepatch !== undefined && readPhase(manager.machine, livepatch) === 'active' ? [livepatch] : [],
    );
    return { removed, active };
  });
}
