import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { exists, fileError, removeTree, writeAtomically } from '@kstitch/host/files';
import { withLock } from '@kstitch/host/lock';
import { type RunResult, run } from '@kstitch/host/run';
import type { Context } from '@kstitch/report/context';
import { diagnostic } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import type { PackageInfo } from './distribution.ts';

/** Package lists older than this are fetched again before anything new is downloaded, milliseconds. */
const listsMaxAge = 60 * 60 * 1000;

/** One stanza of `apt-cache show`. */
export interface AptPackage extends PackageInfo {
  readonly depends: string;
  /** The source package that it is built from: `linux`. */
  readonly source: string;
}

/**
 * apt with its state in a folder of kstitch's own: sources, keys, proxies and pins are the machine's, read and never
 * changed; lists and downloads are kept apart, so neither root nor apt's system-wide locks are needed.
 */
export class Apt {
  readonly #directory: string;
  readonly #sources: string | undefined;

  /**
   * @param name - folder of this state below the cache
   * @param sources - the lines of sources.list to use in place of the machine's sources
   */
  constructor(name = 'machine', sources?: string) {
    this.#directory = join(cacheDirectory(), 'apt', name);
    this.#sources = sources;
  }

  /**
   * Brings the package lists up to date when they are older than an hour.
   *
   * @throws KstitchError - `kit-lists-failed` when apt fails and there are no earlier lists
   */
  async refresh(context: Context): Promise<void> {
    const stamp = join(this.#directory, 'refreshed');
    const isFresh = async () => {
      const found = await stat(stamp).catch(() => undefined);
      return found !== undefined && Math.abs(Date.now() - found.mtimeMs) < listsMaxAge;
    };
    if (await isFresh()) return;
    await withLock(context, 'package archive', async () => {
      // Whoever held the lock before has perhaps done it.
      if (await isFresh()) return;
      await this.#setUp();
      await context.progress.step('fetch the package lists', async update => {
        try {
          await this.#apt('apt-get', ['-o', 'APT::Update::Error-Mode=any', 'update'], context.signal, update);
          await writeAtomically(stamp, '');
        } catch (error) {
          if (!(error instanceof KstitchError) || error.code !== 'host-tool-failed') throw error;
          const lists = await readdir(join(this.#directory, 'lists')).catch(() => []);
          if (!lists.some(name => name.includes('_Packages'))) {
            throw new KstitchError('kit-lists-failed', 'fetch the package lists: apt-get update failed', {
              cause: error,
              notes: error.notes,
            });
          }
          context.diagnostics.push(
            diagnostic(
              'kit-lists-old',
              {},
              'the package lists could not be brought up to date; earlier ones are used',
              {
                notes: error.notes,
              },
            ),
          );
        }
      });
    });
  }

  /** @returns every version of a package that the archive offers, as the index lists them; none when it is unknown */
  async show(name: string, signal: AbortSignal): Promise<readonly AptPackage[]> {
    // 100: no such package.
    const { stdout } = await this.#apt('apt-cache', ['show', name], signal, undefined, [100]);
    return stdout.split(/\n\n+/).flatMap(parseStanza);
  }

  /** @returns names of real packages, sorted, that match a regular expression */
  async names(pattern: string, signal: AbortSignal): Promise<readonly string[]> {
    const { stdout } = await this.#apt('apt-cache', ['search', '--names-only', pattern], signal);
    return stdout
      .split('\n')
      .flatMap(line => line.split(' ', 1))
      .filter(name => name !== '')
      .toSorted();
  }

  /**
   * @returns packages and all that they depend on, as if nothing was installed, sorted by name; recommended ones are left out
   * @throws KstitchError - `host-tool-failed` when the archive does not have one of them, `kit-package-undescribed` when its index
   *   does not tell what one of them is
   */
  async closure(names: readonly string[], signal: AbortSignal): Promise<readonly AptPackage[]> {
    const options = ['--simulate', '-o', 'APT::Install-Recommends=false'];
    const { stdout } = await this.#apt('apt-get', [...options, 'install', ...names], signal);
    // Inst gcc-14 (14.2.0-19 Debian:13.6/stable [amd64])
    const chosen = [...stdout.matchAll(/^Inst (\S+) \((\S+) /gm)].map(
      ([, name, version]) => `${name}=${version}`,
    );
    const shown = await this.#apt('apt-cache', ['show', ...chosen], signal);
    const packages = new Map(
      shown.stdout
        .split(/\n\n+/)
        .flatMap(parseStanza)
        .map(found => [`${found.name}=${found.version}`, found]),
    );
    const undescribed = chosen.filter(each => !packages.has(each));
    if (undescribed.length > 0) {
      throw new KstitchError(
        'kit-package-undescribed',
        `read the package lists: apt-cache shows no version, size and SHA-256 of ${undescribed.map(each => `'${each}'`).join(', ')}`,
      );
    }
    // Of these and no other: apt-cache may tell of more than was asked for.
    return chosen.flatMap(each => packages.get(each) ?? []).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * @returns the Debian part of a source package, `linux_6.1.187-1.debian.tar.xz`; undefined when the archive does not list it
   */
  async showDebianPart(name: string, version: string, signal: AbortSignal): Promise<PackageInfo | undefined> {
    // 100: no such source package, or not in that version.
    const { stdout } = await this.#apt('apt-get', addressOfPart(name, version), signal, undefined, [100]);
    const [, size, sha256] = /^'\S+' \S+\.debian\.tar\.xz (\d+) SHA256:([0-9a-f]{64})$/m.exec(stdout) ?? [];
    return sha256 === undefined ? undefined : { name, version, size: Number(size), sha256 };
  }

  /**
   * Downloads a package and files it under its content's SHA-256, where every kit finds it.
   *
   * @returns its path
   */
  download(context: Context, wanted: PackageInfo, update: (detail: string) => void): Promise<string> {
    const { name, version } = wanted;
    return this.#fetch(context, wanted, ['download', '--print-uris', `${name}=${version}`], update);
  }

  /** As {@link download}, of what {@link showDebianPart} names. */
  downloadDebianPart(
    context: Context,
    wanted: PackageInfo,
    update: (detail: string) => void,
  ): Promise<string> {
    return this.#fetch(context, wanted, addressOfPart(wanted.name, wanted.version), update);
  }

  /** @param askAddress - what apt-get is asked with for the address of the file */
  async #fetch(
    context: Context,
    wanted: PackageInfo,
    askAddress: readonly string[],
    update: (detail: string) => void,
  ): Promise<string> {
    const debs = join(cacheDirectory(), 'debs');
    const path = join(debs, `${wanted.sha256}.deb`);
    if (await exists(path)) return path;
    return await withLock(context, 'package archive', async () => {
      if (await exists(path)) return path;
      await this.#setUp();
      // `apt-get download` starts anew each time; apt's own helper goes on with a file that was cut short.
      const arrived = join(this.#directory, 'arrived', `${wanted.sha256}.deb`);
      await mkdir(join(this.#directory, 'arrived'), { recursive: true });
      await mkdir(debs, { recursive: true });
      const what = `download '${wanted.name}' of version '${wanted.version}'`;
      try {
        const { stdout } = await this.#apt('apt-get', askAddress, context.signal);
        const address = /^'([^']+)'/m.exec(stdout)?.[1];
        if (address === undefined)
          throw new KstitchError('kit-download-failed', `${what}: apt names no address for it`);
        const args = ['-o', 'APT::Status-Fd=1', 'download-file', address, arrived, `SHA256:${wanted.sha256}`];
        await this.#apt('/usr/lib/apt/apt-helper', args, context.signal, update);
      } catch (error) {
        if (!(error instanceof KstitchError) || error.code !== 'host-tool-failed') throw error;
        throw new KstitchError('kit-download-failed', `${what}: apt failed`, {
          cause: error,
          notes: error.notes,
        });
      }
      // Once more by us: what lies in the cache under a hash is trusted ever after.
      const sha256 = await sha256Of(arrived);
      if (sha256 !== wanted.sha256) {
        await rm(arrived);
        throw new KstitchError(
          'kit-download-failed',
          `${what}: its SHA-256 is ${sha256}, not ${wanted.sha256}`,
        );
      }
      await rename(arrived, path);
      return path;
    });
  }

  /**
   * As {@link download}, for many small packages: apt is asked once. What was cut short is downloaded again.
   *
   * @returns their paths, in order
   */
  async downloadAll(
    context: Context,
    wanted: readonly PackageInfo[],
    update: (detail: string) => void,
  ): Promise<readonly string[]> {
    const debs = join(cacheDirectory(), 'debs');
    const pathOf = ({ sha256 }: PackageInfo) => join(debs, `${sha256}.deb`);
    const isMissing = await Promise.all(wanted.map(async info => !(await exists(pathOf(info)))));
    const missing = wanted.filter((_, i) => isMissing[i]);
    if (missing.length === 0) return wanted.map(pathOf);
    const folder = join(this.#directory, 'arrived-together');
    await withLock(context, 'package archive', async () => {
      await this.#setUp();
      await removeTree(folder);
      for (const each of [folder, debs]) await mkdir(each, { recursive: true });
      const what = `download ${missing.length} packages`;
      try {
        const names = missing.map(({ name, version }) => `${name}=${version}`);
        const args = ['-o', 'APT::Status-Fd=1', 'download', ...names];
        await this.#apt('apt-get', args, context.signal, update, [], folder);
      } catch (error) {
        if (!(error instanceof KstitchError) || error.code !== 'host-tool-failed') throw error;
        throw new KstitchError('kit-download-failed', `${what}: apt failed`, {
          cause: error,
          notes: error.notes,
        });
      }
      const arrived = new Map<string, string>();
      for (const name of await readdir(folder)) {
        const file = join(folder, name);
        arrived.set(await sha256Of(file), file);
      }
      for (const info of missing) {
        const file = arrived.get(info.sha256);
        if (file === undefined) {
          const { name, version, sha256 } = info;
          throw new KstitchError(
            'kit-download-failed',
            `${what}: nothing that arrived has the SHA-256 of '${name}' of version '${version}', ${sha256}`,
          );
        }
        await rename(file, pathOf(info));
      }
    });
    return wanted.map(pathOf);
  }

  async #setUp(): Promise<void> {
    try {
      for (const folder of ['lists/partial', 'archives/partial']) {
        await mkdir(join(this.#directory, folder), { recursive: true });
      }
      await writeFile(join(this.#directory, 'status'), '');
      await writeFile(join(this.#directory, 'apt.conf'), aptConfiguration);
      if (this.#sources !== undefined)
        await writeFile(join(this.#directory, 'sources.list'), `${this.#sources}\n`);
    } catch (error) {
      throw fileError(`write '${this.#directory}'`, error);
    }
  }

  #apt(
    command: 'apt-get' | 'apt-cache' | '/usr/lib/apt/apt-helper',
    args: readonly string[],
    signal: AbortSignal,
    update?: (detail: string) => void,
    allowStatus: readonly number[] = [],
    cwd: string = this.#directory,
  ): Promise<RunResult> {
    const at = (path: string) => join(this.#directory, path);
    const settings = [
      `Dir::State=${this.#directory}`,
      `Dir::State::lists=${at('lists')}`,
      `Dir::State::status=${at('status')}`,
      `Dir::Cache=${this.#directory}`,
      `Dir::Cache::archives=${at('archives')}`,
      `Dir::Cache::pkgcache=${at('pkgcache.bin')}`,
      `Dir::Cache::srcpkgcache=${at('srcpkgcache.bin')}`,
      ...(this.#sources === undefined
        ? []
        : [`Dir::Etc::sourcelist=${at('sources.list')}`, 'Dir::Etc::sourceparts=/dev/null']),
    ];
    const options = settings.flatMap(setting => ['-o', setting]);
    return run(command, ['-c', at('apt.conf'), ...options, ...args], {
      cwd,
      signal,
      allowStatus,
      env: { APT_CONFIG: undefined },
      ...(update === undefined ? {} : { onLine: text => update(showStatus(text)) }),
    });
  }
}

/**
 * Read after the machine's own configuration, so that it can take back what that says: hooks after an update are meant
 * for the system's lists and remove or write the system's files. Downloading as another user (`_apt`) cannot work in
 * a folder of the user's own.
 */
const aptConfiguration = `#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
`;

function addressOfPart(name: string, version: string): readonly string[] {
  return ['source', '--print-uris', '--download-only', '--diff-only', `${name}=${version}`];
}

function parseStanza(text: string): readonly AptPackage[] {
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1];
  const name = field('Package');
  const version = field('Version');
  const sha256 = field('SHA256');
  const size = Number(field('Size'));
  if (name === undefined || version === undefined || sha256 === undefined || !Number.isSafeInteger(size))
    return [];
  // Each of them becomes part of a path or of a command line.
  if (
    !/^[a-z0-9][a-z0-9+.-]+$/.test(name) ||
    !/^[0-9][\w.+:~-]*$/.test(version) ||
    !/^[0-9a-f]{64}$/.test(sha256)
  )
    return [];
  const source = field('Source')?.split(' ')[0] ?? name;
  return [{ name, version, sha256, size, depends: field('Depends') ?? '', source }];
}

/** apt's status line `dlstatus:1:42.17:Retrieving file 1 of 1 (3s remaining)` in short; other lines as they are. */
function showStatus(line: string): string {
  const percent = /^dlstatus:[^:]*:([\d.]+):/.exec(line)?.[1];
  return percent === undefined ? line.slice(0, 80) : `${Math.round(Number(percent))} %`;
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
