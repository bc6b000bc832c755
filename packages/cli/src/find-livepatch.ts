import { basename, join } from 'node:path';
import { codeOf } from '@kstitch/manager/machine';
import type { Manager } from '@kstitch/manager/manager';
import { type LivepatchFiles, whereKept } from '@kstitch/manager/store';
import { KstitchError } from '@kstitch/report/error';
import { isLivepatchName } from './command-line.ts';
import { inputKinds, readInput, readInputText } from './input-file.ts';

/** What is to be done with it; for messages. */
type Verb = 'load' | 'install';

/** @returns whether it is looked for in the store: neither a path, nor a file of another kind that is told to be one */
export function isStoredName(livepatch: string): boolean {
  return !/\.(?:ko|json|patch|diff)$/.test(livepatch) && !livepatch.includes('/');
}

/**
 * @param livepatch - as typed: the module's path, or the name of one in the running kernel's store
 * @throws KstitchError - `load-source-patch`, `livepatch-half`, `livepatch-unknown`, `input-*`
 */
export async function findLivepatch(
  manager: Manager,
  verb: Verb,
  livepatch: string,
  signal: AbortSignal,
): Promise<LivepatchFiles> {
  const { release } = manager.kernel;
  if (/\.(?:patch|diff)$/.test(livepatch)) {
    // What is installed may be for a kernel that does not run.
    const kernel = verb === 'load' ? release : 'RELEASE';
    throw new KstitchError(
      'load-source-patch',
      `${verb} '${livepatch}': it is a patch of the source, the kernel loads modules`,
      { help: `build a livepatch of it: kstitch build ${livepatch} --kernel ${kernel}` },
    );
  }
  if (livepatch.endsWith('.json'))
    throw new KstitchError('livepatch-half', `${verb} '${livepatch}': it is a record, and no module`, {
      help: `give the module: kstitch ${verb} ${livepatch.replace(/(?:\.proof)?\.json$/, '.ko')}`,
    });
  if (!isStoredName(livepatch)) return await readFiles(verb, livepatch, signal);
  const files = isLivepatchName(livepatch) ? manager.store.read(livepatch) : undefined;
  if (files !== undefined) return files;
  const [elsewhere] =
    verb === 'install' && isLivepatchName(livepatch) ? whereKept(manager.stateDirectory, livepatch) : [];
  throw new KstitchError(
    'livepatch-unknown',
    `find livepatch '${livepatch}': it is no path of a NAME.ko, and none of that name was loaded into or installed for '${release}'`,
    elsewhere === undefined ? {} : { help: `one for another kernel is kept: kstitch install ${elsewhere}` },
  );
}

async function readFiles(verb: Verb, path: string, signal: AbortSignal): Promise<LivepatchFiles> {
  const module = await readInput(path, inputKinds.livepatch, signal);
  const record = join(path, '..', `${basename(path, '.ko')}.json`);
  try {
    return { module, record: await readInputText(record, inputKinds.bundle, signal) };
  } catch (error) {
    if (!(error instanceof KstitchError) || codeOf(error.cause) !== 'ENOENT') throw error;
    throw new KstitchError('livepatch-half', `${verb} '${path}': its record '${record}' is not there`, {
      cause: error,
    });
  }
}
