/** Takes a livepatch out of force, and its module out of the kernel where that is safe. */
import type { Context } from '@kstitch/report/context';
import { diagnostic } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { beginAction, type JournalAction, notBegun } from './journal.ts';
import { readUptime } from './kernel-identity.ts';
import { times } from './limits.ts';
import { codeOf } from './machine.ts';
import { alone, disabledAt, type Manager } from './manager.ts';
import {
  livepatchFolder,
  readLivepatch,
  readLivepatches,
  readPhase,
  writeIfAllowed,
} from './read-livepatches.ts';
import { type Removal, removeModule } from './remove-module.ts';
import { watchTransition } from './watch.ts';

export interface UnloadRequest {
  readonly name: string;
  /** For the transition; after that it is reversed. */
  readonly timeoutSeconds: number;
  /** Between disabling and removing. */
  readonly graceSeconds: number;
  /** Leaves the module, disabled. */
  readonly keep: boolean;
}

export interface UnloadResult {
  readonly livepatch: string;
  /** `disabled`: out of force, its module still there. */
  readonly result: 'removed' | 'disabled';
  /** Why the module is still there. */
  readonly reasons: readonly string[];
  /** Without one that was disabled before. */
  readonly transitionSeconds?: number;
}

/**
 * @throws KstitchError - `unload-not-loaded`, `transition-busy`, `unload-timed-out`, `unload-reversed`, `machine-*`, `host-*`,
 *   `interrupted`
 */
export async function unloadLivepatch(
  context: Context,
  manager: Manager,
  request: UnloadRequest,
): Promise<UnloadResult> {
  const { name } = request;
  return await alone(context, manager, async entries => {
    const { machine, journal, kernel } = manager;
    const found = readLivepatch(machine, name);
    if (found === undefined)
      throw new KstitchError('unload-not-loaded', `unload '${name}': it is not loaded`);
    const busy = readLivepatches(machine).find(
      ({ name: other, phase }) => other !== name && (phase === 'enabling' || phase === 'disabling'),
    );
    if (busy !== undefined && found.phase === 'active')
      throw new KstitchError(
        'transition-busy',
        `unload '${name}': livepatch '${busy.name}' is ${busy.phase}`,
      );

    const action = beginAction(journal, kernel, 'unload', name, context.diagnostics);
    let since = disabledAt(entries, kernel.bootId, name);
    let transitionSeconds: number | undefined;
    if (found.phase === 'active' || found.phase === 'enabling' || found.phase === 'disabling') {
      transitionSeconds = await disableLivepatch(
        context,
        manager,
        request,
        action,
        found.phase !== 'disabling',
      );
      since = readUptime(machine);
      action.step('disabled');
    }

    // Beyond this point it is out of force; what remains is its module.
    const removal: Removal = request.keep
      ? { removed: false, reasons: ['--keep'] }
      : await removeModule(context, manager, {
          name,
          graceSeconds: request.graceSeconds,
          disabledAt: since,
        }).catch((error: unknown) => {
          action.end('disabled', ['interrupted before its module was removed']);
          throw error;
        });
    const result = removal.removed ? 'removed' : 'disabled';
    action.end(result, removal.reasons);
    if (!removal.removed && !request.keep)
      context.diagnostics.push(
        diagnostic('unload-left-loaded', {}, `'${name}' is disabled, its module stays loaded`, {
          notes: removal.reasons,
        }),
      );
    return {
      livepatch: name,
      result,
      reasons: removal.reasons,
      ...(transitionSeconds === undefined ? {} : { transitionSeconds }),
    };
  });
}

/**
 * Takes a livepatch out of force. What goes wrong ends the action, and the livepatch is in force again.
 *
 * @param begin - false when it is being disabled already
 * @returns seconds
 */
export async function disableLivepatch(
  context: Context,
  { machine }: Manager,
  { name, timeoutSeconds }: Pick<UnloadRequest, 'name' | 'timeoutSeconds'>,
  action: JournalAction,
  begin: boolean,
): Promise<number> {
  const enabled = `${livepatchFolder}/${name}/enabled`;
  const enableAgain = async (result: string, notes: readonly string[] = []): Promise<string> => {
    const refusal = writeIfAllowed(machine, enabled, '1');
    if (refusal !== undefined) {
      action.end('not reversed', [...notes, refusal]);
      return `could not be reversed: ${refusal}`;
    }
    const quiet = { ...context, signal: new AbortController().signal };
    const { end } = await watchTransition(quiet, machine, name, 'active', times.stuck);
    action.end(result, notes);
    return end === 'reached' ? 'was reversed: it is in force' : 'is being reversed';
  };

  try {
    if (begin) machine.write(enabled, '0');
  } catch (error) {
    // Nothing was begun; another transition may have been since one looked.
    const isBusy = error instanceof KstitchError && codeOf(error.cause) === 'EBUSY';
    action.end(isBusy ? 'transition-busy' : notBegun);
    throw isBusy
      ? new KstitchError('transition-busy', `unload '${name}': another livepatch is in transition`, {
          cause: error,
        })
      : error;
  }
  let watched: Awaited<ReturnType<typeof watchTransition>>;
  try {
    watched = await watchTransition(context, machine, name, 'gone', timeoutSeconds);
  } catch (error) {
    // As for loading: nothing is left half way.
    if (readPhase(machine, name) === 'disabling') await enableAgain('interrupted');
    throw error;
  }
  if (watched.end === 'reached') return watched.seconds;
  if (watched.end === 'other') {
    action.end('unload-reversed');
    throw new KstitchError('unload-reversed', `unload '${name}': somebody else enabled it again`);
  }
  const notes = watched.inTheWay;
  const outcome = await enableAgain('unload-timed-out', notes);
  throw new KstitchError(
    'unload-timed-out',
    `unload '${name}': the transition did not end within ${timeoutSeconds} s and ${outcome}`,
    { notes },
  );
}
