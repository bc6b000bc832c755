import { basename, join } from 'node:path';
import type { Manager } from '@kstitch/manager/manager';
import type { LivepatchFiles } from '@kstitch/manager/store';
import { KstitchError } from '@kstitch/report/error';
import { livepatchName } from './command-line.ts';
import { inputKinds, readInput, readInputText } from './input-file.ts';

/**
 * @param livepatch - as typed: the module's path, or the name of one in the running kernel's store
 * @throws KstitchError - `load-source-patch`, `livepatch-unknown`, `input-*`
 */
export async function findLivepatch(
  manager: Manager,
  livepatch: string,
  signal: AbortSignal,
): Promise<LivepatchFiles> {
  if (/\.(?:patch|diff)$/.test(livepatch)) {
    throw new KstitchError(
      'load-source-patch',
      `load '${livepatch}': it is a patch of the source, the kernel loads modules`,
      { help: `build a livepatch of it: kstitch build ${livepatch} --kernel ${manager.kernel.release}` },
    );
  }
  if (livepatch.endsWith('.ko') || livepatch.includes('/')) {
    const record = join(livepatch, '..', `${basename(livepatch, '.ko')}.json`);
    return {
      module: await readInput(livepatch, inputKinds.livepatch, signal),
      record: await readInputText(record, inputKinds.bundle, signal),
    };
  }
  const files = manager.store.read(livepatchName(livepatch));
  if (files !== undefined) return files;
  throw new KstitchError(
    'livepatch-unknown',
    `find livepatch '${livepatch}': no file, and none of that name was loaded into '${manager.kernel.release}'`,
  );
}
