/**
 * Which livepatch the boots to come load, one a kernel release: `<state>/installed/RELEASE.json` names one of the store, and
 * `RELEASE.guard` is there from before it is loaded at boot until the machine has lived with it for a while.
 *
 * The livepatch itself lies in the store. So what is installed changes by renaming one file, and there is no moment at which it is
 * half one livepatch and half another.
 */
import { join } from 'node:path';
import { makeDirectoryDurably, removeDurably, writeDurably } from '@kstitch/host/files';
import { KstitchError } from '@kstitch/report/error';
import { limits } from './limits.ts';
import { Machine } from './machine.ts';

export interface InstalledEntry {
  /** Release of the kernel. */
  readonly kernel: string;
  /** undefined when the file is damaged. */
  readonly livepatch: string | undefined;
  /** When it was installed, ISO 8601. */
  readonly since: string;
}

export interface Guard {
  /** Empty when the file is damaged: it then keeps out whatever is installed. */
  readonly livepatch: string;
  /** The boot that loads it. */
  readonly boot: string;
  /** ISO 8601. */
  readonly at: string;
  /** Set when the kernel lived on and yet is not well: why. */
  readonly reason?: string;
}

export class Installed {
  readonly directory: string;

  constructor(stateDirectory: string) {
    this.directory = join(stateDirectory, 'installed');
  }

  /** @returns by release */
  list(): InstalledEntry[] {
    return (new Machine().list(this.directory) ?? [])
      .filter(name => name.endsWith('.json') && !name.startsWith('.'))
      .flatMap(name => this.read(name.slice(0, -'.json'.length)) ?? []);
  }

  /** @returns undefined when nothing is installed for this kernel */
  read(kernel: string): InstalledEntry | undefined {
    const fields = this.#fields(`${kernel}.json`);
    if (fields === undefined) return undefined;
    const { livepatch, since } = fields;
    // It becomes a part of paths.
    return livepatch !== undefined && /^[A-Za-z0-9_]{1,55}$/.test(livepatch) && since !== undefined
      ? { kernel, livepatch, since }
      : { kernel, livepatch: undefined, since: since ?? '' };
  }

  /** @throws KstitchError - `host-disk-full`, `host-file-failed` */
  async write(kernel: string, livepatch: string): Promise<void> {
    await this.#write(`${kernel}.json`, { livepatch, since: new Date().toISOString() });
  }

  /** @throws KstitchError - `host-file-failed` */
  async remove(kernel: string): Promise<void> {
    await removeDurably(join(this.directory, `${kernel}.json`));
    await this.removeGuard(kernel);
  }

  readGuard(kernel: string): Guard | undefined {
    const fields = this.#fields(`${kernel}.guard`);
    if (fields === undefined) return undefined;
    const { livepatch = '', boot = '', at = '', reason } = fields;
    return { livepatch, boot, at, ...(reason === undefined ? {} : { reason }) };
  }

  /** @throws KstitchError - `host-disk-full`, `host-file-failed` */
  async writeGuard(kernel: string, guard: Guard): Promise<void> {
    await this.#write(`${kernel}.guard`, { ...guard });
  }

  /** @throws KstitchError - `host-file-failed` */
  async removeGuard(kernel: string): Promise<void> {
    await removeDurably(join(this.directory, `${kernel}.guard`));
  }

  async #write(name: string, fields: Readonly<Record<string, string>>): Promise<void> {
    await makeDirectoryDurably(this.directory, 0o700);
    await writeDurably(join(this.directory, name), `${JSON.stringify(fields)}\n`, { mode: 0o600 });
  }

  /** @returns the texts in it, none when it is damaged; undefined when it is not there */
  #fields(name: string): Readonly<Record<string, string | undefined>> | undefined {
    try {
      const text = new Machine().read(join(this.directory, name), limits.attribute);
      if (text === undefined) return undefined;
      const value: unknown = JSON.parse(text);
      if (typeof value !== 'object' || value === null) return {};
      return Object.fromEntries(Object.entries(value).filter(([, field]) => typeof field === 'string'));
    } catch (error) {
      // Too long for one of ours, or on a bad disk: as good as anything else that cannot be understood.
      const isDamaged = error instanceof SyntaxError || isUnreadable(error);
      if (!isDamaged) throw error;
      return {};
    }
  }
}

function isUnreadable(error: unknown): boolean {
  return error instanceof KstitchError && error.code === 'machine-unreadable';
}

/**
 * @param bootId - of this boot
 * @returns whether the guard keeps `livepatch` out: the boot that loaded it ended before it had settled
 */
export function hasTripped(guard: Guard | undefined, livepatch: string, bootId: string): guard is Guard {
  if (guard === undefined) return false;
  if (guard.livepatch === '') return true;
  return guard.livepatch === livepatch && (guard.boot !== bootId || guard.reason !== undefined);
}

/** @returns in words that follow `left out:` */
export function whyTripped({ livepatch, at, reason }: Guard): string {
  if (livepatch === '') return 'the guard of an earlier boot is damaged';
  return reason ?? `the boot that loaded it, ${at}, ended before it had settled`;
}
