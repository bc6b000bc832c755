import { mkdir, stat } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { fileError, withTemporaryDirectory } from '@kstitch/host/files';
import { run } from '@kstitch/host/run';
import type { Context } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { debian } from './kit/debian.ts';
import type { Distribution, PackageInfo } from './kit/distribution.ts';
import { unpackSource } from './kit/unpack.ts';

/** A whole stable update differs by some megabytes; bytes. */
const maxDelta = 512 * 1024 * 1024;

interface Source {
  readonly version: string;
  readonly series: string;
  readonly info: PackageInfo;
}

/**
 * What differs between the sources of two Debian kernel versions, as a patch that `patch -p1` and git apply.
 *
 * @param from - Debian version: `6.1.192-1`
 * @param to - Debian version, of the same series or another
 * @param files - files or folders below the top of the source; everything when none are named
 * @returns a unified diff with `a/` and `b/` prefixes, files in order of their paths, without times or hashes; empty when
 *   nothing differs
 * @throws KstitchError - `delta-version-unknown` with the versions there are, `delta-file-unknown`,
 *   `kit-download-failed`
 */
export async function kernelDelta(
  context: Context,
  from: string,
  to: string,
  files: readonly string[] = [],
): Promise<string> {
  const members = files.map(checkMember);
  const archive = debian();
  const before = await findSource(context, archive, from);
  const after = await findSource(context, archive, to);

  // Both are 140 MB; they stay in the cache, where a kit of that version finds them too.
  const beforeFile = await download(context, archive, before);
  const afterFile = await download(context, archive, after);

  const parent = join(cacheDirectory(), 'deltas');
  await mkdir(parent, { recursive: true }).catch((error: unknown) => {
    throw fileError(`make the folder '${parent}'`, error);
  });
  return await withTemporaryDirectory(
    'delta',
    async directory => {
      // One after the other: each is decompressed with all cores.
      for (const [source, file, side] of [
        [before, beforeFile, 'a'],
        [after, afterFile, 'b'],
      ] as const) {
        await context.progress.step(`unpack the source of ${source.version}`, () =>
          unpackSource(file, source.series, join(directory, side), context.signal, members),
        );
      }
      for (const member of members) await expectMember(directory, member, from, to);
      return await context.progress.step('compare the sources', () => compare(directory, context.signal));
    },
    parent,
  );
}

async function findSource(context: Context, archive: Distribution, version: string): Promise<Source> {
  const series = /^\d+\.\d+/.exec(version)?.[0] ?? version;
  const offered = /^\d+\.\d+$/.test(series) ? await archive.sources(context, series, version) : [];
  const info = offered.find(candidate => candidate.version === version);
  if (info === undefined) {
    const has = offered.map(candidate => `'${candidate.version}'`).join(', ');
    throw new KstitchError(
      'delta-version-unknown',
      `find the source of Debian kernel '${version}': the archive has ${has === '' ? `none of series '${series}'` : has}`,
    );
  }
  return { version, series, info };
}

async function download(context: Context, archive: Distribution, { info }: Source): Promise<string> {
  return await context.progress.step(`download ${info.name} ${info.version}`, update =>
    archive.download(context, info, update),
  );
}

/** `./fs/ext4/` and `fs/ext4` are the same; nothing outside the source has a name here. */
function checkMember(file: string): string {
  const path = normalize(file).replace(/\/$/, '');
  if (
    file === '' ||
    path === '.' ||
    path.startsWith('/') ||
    path.split('/').includes('..') ||
    path.startsWith('-')
  ) {
    throw new KstitchError(
      'delta-file-unknown',
      `compare '${file}': it is not a path below the top of the kernel source`,
    );
  }
  return path;
}

async function expectMember(directory: string, member: string, from: string, to: string): Promise<void> {
  const sides = await Promise.all(
    ['a', 'b'].map(side => stat(join(directory, side, member)).catch(() => undefined)),
  );
  if (sides.every(side => side === undefined)) {
    throw new KstitchError('delta-file-unknown', `compare '${member}': neither '${from}' nor '${to}' has it`);
  }
}

async function compare(directory: string, signal: AbortSignal): Promise<string> {
  // Status 1: there are differences.
  const { stdout } = await run(
    'diff',
    ['--unified', '--recursive', '--new-file', '--no-dereference', '--show-c-function', 'a', 'b'],
    { cwd: directory, signal, allowStatus: [1], maxOutput: maxDelta },
  );
  const parts = stdout.split(/^(?=diff |Binary files )/m).filter(part => part !== '');
  const shown = await Promise.all(parts.map(part => showFile(directory, part)));
  return shown.join('');
}

/**
 * One file's part of `diff -r`'s output with the header git writes: GNU diff's has the times of the files, and with
 * `--new-file` does not say which ones exist on one side only.
 */
async function showFile(directory: string, part: string): Promise<string> {
  const binary = /^Binary files a\/(.+) and b\/.+ differ$/m.exec(part)?.[1];
  if (binary !== undefined) return `diff --git a/${binary} b/${binary}\n${part}`;
  const [, oldLine = '', newLine = ''] = part.split('\n', 3);
  const path = /^--- a\/([^\t]+)/.exec(oldLine)?.[1];
  const start = part.indexOf('\n@@ ');
  if (path === undefined || start === -1 || !newLine.startsWith('+++ b/')) {
    throw new KstitchError('host-tool-failed', `run 'diff': its output '${oldLine}' was not understood`);
  }
  const [before, after] = await Promise.all(
    ['a', 'b'].map(side => stat(join(directory, side, path)).catch(() => undefined)),
  );
  const header = [
    `diff --git a/${path} b/${path}`,
    ...(before === undefined ? [`new file mode ${gitMode(after?.mode)}`] : []),
    ...(after === undefined ? [`deleted file mode ${gitMode(before?.mode)}`] : []),
    before === undefined ? '--- /dev/null' : `--- a/${path}`,
    after === undefined ? '+++ /dev/null' : `+++ b/${path}`,
  ];
  return header.join('\n') + part.slice(start);
}

/** git knows two modes of a file. */
function gitMode(mode: number | undefined): string {
  return ((mode ?? 0) & 0o111) === 0 ? '100644' : '100755';
}
