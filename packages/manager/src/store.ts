/**
 * The livepatches that were loaded, kept with their records, so that whoever looks at the running kernel later knows what is
 * in them: `<state>/livepatches/<release>/NAME.ko` and `NAME.json`.
 */
import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { fileError, makeDirectoryDurably, writeDurably } from '@kstitch/host/files';
import type { Bundle } from '@kstitch/livepatch/bundle';
import { limits } from './limits.ts';
import { Machine } from './machine.ts';

export interface LivepatchFiles {
  /** The module, signed or not. */
  readonly module: Uint8Array;
  /** Text of the record. */
  readonly record: string;
}

export class Store {
  readonly directory: string;

  /** @param release - of the kernel: a livepatch is for one */
  constructor(stateDirectory: string, release: string) {
    this.directory = join(stateDirectory, 'livepatches', release);
  }

  /** @returns the path of the module */
  modulePath(name: string): string {
    return join(this.directory, `${name}.ko`);
  }

  /** @returns undefined when this livepatch was never loaded by kstitch */
  read(name: string): LivepatchFiles | undefined {
    const disk = new Machine();
    const module = disk.readBytes(this.modulePath(name), limits.livepatch);
    const record = this.#record(disk, name);
    return module === undefined || record === undefined ? undefined : { module, record };
  }

  /**
   * @returns what is known about a livepatch, undefined when it is another's, or its record is gone or damaged: nothing that
   *   the running kernel does depends on it
   */
  async bundle(name: string): Promise<Bundle | undefined> {
    const record = this.#record(new Machine(), name);
    if (record === undefined) return undefined;
    const { parseBundle } = await import('@kstitch/livepatch/bundle');
    try {
      const bundle = parseBundle(record, `${name}.json`);
      return bundle.module === name ? bundle : undefined;
    } catch {
      return undefined;
    }
  }

  /** @throws KstitchError - `host-disk-full`, `host-file-failed` */
  async keep(name: string, { module, record }: LivepatchFiles): Promise<void> {
    await makeDirectoryDurably(this.directory, 0o700);
    await writeDurably(this.modulePath(name), module, { mode: 0o600 });
    await writeDurably(join(this.directory, `${name}.json`), record, { mode: 0o600 });
  }

  #record(disk: Machine, name: string): string | undefined {
    const bytes = disk.readBytes(join(this.directory, `${name}.json`), limits.bundle);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');
  }
}

/** @returns the paths of the modules of that name, whatever kernel they are for */
export function whereKept(stateDirectory: string, name: string): string[] {
  const disk = new Machine();
  return disk
    .folders(join(stateDirectory, 'livepatches'))
    .map(release => new Store(stateDirectory, release))
    .filter(store => disk.list(store.directory)?.includes(`${name}.json`) === true)
    .map(store => store.modulePath(name));
}

/** @returns bytes that may still be written where `directory` is, or will be */
export function freeSpace(directory: string): number {
  for (let folder = directory; ; folder = join(folder, '..')) {
    try {
      const { bavail, bsize } = statfsSync(folder);
      return bavail * bsize;
    } catch (error) {
      if (folder === '/') throw fileError(`look at the free space of '${directory}'`, error);
    }
  }
}
