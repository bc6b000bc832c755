import { readFile } from 'node:fs/promises';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';

/** Debian's own archive of every package version that ever was; `--snapshot` names another one. */
export const defaultSnapshot = 'https://snapshot.debian.org/archive/debian-security/';

/** How long the snapshot archive may take to answer one question, milliseconds. */
const answerWithin = 20_000;
/** An answer about one package is a few kilobytes; characters. */
const maxAnswer = 1024 * 1024;
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

export interface SnapshotSources {
  /** Name of the apt state for it. */
  readonly name: string;
  /** The one line of sources.list. */
  readonly sources: string;
}

/**
 * Finds the moment at which an archive held a package, and the apt source for it.
 *
 * An address that ends in a timestamp (`…/archive/debian-security/20261115T000000Z/`) is taken as it is. Otherwise the
 * archive's machine interface is asked when the package was first seen (`/mr/binary/PACKAGE/` and
 * `/mr/binary/PACKAGE/VERSION/binfiles?fileinfo=1`, described at snapshot.debian.org). Packages from there are verified as
 * any other: apt checks the signature of the old Release file; only its expiry is ignored.
 *
 * @param address - the snapshot archive
 * @param packageName - the package that must be in it
 * @param notes - what stands below the error: why the snapshot archive was asked
 * @returns undefined when the archive does not know the package
 * @throws KstitchError - `kit-snapshot-unreachable`
 */
export async function askSnapshotArchive(
  context: Context,
  address: string,
  packageName: string,
  notes: readonly string[],
): Promise<SnapshotSources | undefined> {
  const base = new URL(address.endsWith('/') ? address : `${address}/`);
  if (/\/\d{8}T\d{6}Z\/$/.test(base.pathname)) return await sourcesOf(base);
  return await context.progress.step(`ask the snapshot archive ${base.host}`, async () => {
    const about = `/mr/binary/${encodeURIComponent(packageName)}/`;
    const versions = await ask(context, new URL(about, base), notes);
    const version = firstString(versions, ['result', 'binary_version']);
    if (version === undefined) return undefined;
    const files = await ask(
      context,
      new URL(`${about}${encodeURIComponent(version)}/binfiles?fileinfo=1`, base),
      notes,
    );
    const seen = firstString(files, ['fileinfo', 'first_seen']);
    const archive = firstString(files, ['fileinfo', 'archive_name']);
    if (
      seen === undefined ||
      !/^\d{8}T\d{6}Z$/.test(seen) ||
      archive === undefined ||
      !/^[a-z-]+$/.test(archive)
    ) {
      throw unreachable(base, `its answer about '${packageName}' was not understood`, notes);
    }
    return await sourcesOf(new URL(`/archive/${archive}/${seen}/`, base));
  });
}

async function sourcesOf(archive: URL): Promise<SnapshotSources> {
  const osRelease = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const codename = /^VERSION_CODENAME=([a-z]+)$/m.exec(osRelease)?.[1] ?? 'stable';
  const suite = archive.pathname.includes('/debian-security/') ? `${codename}-security` : codename;
  const options = `check-valid-until=no signed-by=${keyring}`;
  return {
    name: `snapshot-${(archive.host + archive.pathname).replaceAll(/[^\w.]+/g, '-')}`,
    sources: `deb [${options}] ${archive.href} ${suite} main`,
  };
}

async function ask(context: Context, address: URL, notes: readonly string[]): Promise<unknown> {
  try {
    const signal = AbortSignal.any([context.signal, AbortSignal.timeout(answerWithin)]);
    const response = await fetch(address, { signal });
    if (response.status === 404) return undefined;
    if (!response.ok) throw unreachable(address, `it answered with status ${response.status}`, notes);
    const text = await response.text();
    if (text.length > maxAnswer)
      throw unreachable(address, `its answer has more than ${maxAnswer} characters`, notes);
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof KstitchError) throw error;
    if (context.signal.aborted) throw new KstitchError('interrupted', `interrupt 'ask ${address.host}'`);
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw unreachable(address, cause instanceof Error ? cause.message : String(cause), notes, error);
  }
}

/** The first string called `path[1]` anywhere below the member `path[0]`: the answers nest lists and tables. */
function firstString(answer: unknown, path: readonly [string, string]): string | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined;
  return find(Object.entries(answer).find(([key]) => key === path[0])?.[1], path[1], 4);
}

function find(value: unknown, key: string, depth: number): string | undefined {
  if (typeof value !== 'object' || value === null || depth === 0) return undefined;
  for (const [name, member] of Object.entries(value)) {
    const found = name === key && typeof member === 'string' ? member : find(member, key, depth - 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

function unreachable(address: URL, why: string, notes: readonly string[], cause?: unknown): KstitchError {
  return new KstitchError('kit-snapshot-unreachable', `ask the snapshot archive '${address.href}': ${why}`, {
    cause,
    notes,
  });
}
