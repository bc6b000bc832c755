import { mkdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { removeTree } from '@kstitch/host/files';
import { run, runForBytes } from '@kstitch/host/run';
import { KstitchError } from '@kstitch/report/error';

/** Before each part of a pipeline, so that all of them end with the shell that holds them together. */
const part = 'setpriv --pdeathsig KILL';

/** Unpacks a whole Debian package into an existing folder. */
export async function unpackPackage(deb: string, into: string, signal: AbortSignal): Promise<void> {
  // As root tar would give the files to the owners named in the package; the cache belongs to its user.
  const script =
    `${part} dpkg-deb --fsys-tarfile "$1" | ` +
    `${part} tar --extract --no-same-owner --keep-directory-symlink --directory "$2"`;
  await run('bash', ['-o', 'pipefail', '-c', script, 'unpack', deb, into], { signal });
}

/**
 * Unpacks files of a linux-source package, which holds one tar.xz, without keeping that on the disk.
 *
 * @param series - the one in the package's name: `6.1`
 * @param into - folder to be made; what lies at the top of the source lands in it
 * @param members - paths below the top of the source, files or folders; all when none are named. A member that is not in
 *   the package is no error.
 * @throws KstitchError - `kit-package-unexpected`
 */
export async function unpackSource(
  deb: string,
  series: string,
  into: string,
  signal: AbortSignal,
  members: readonly string[] = [],
): Promise<void> {
  const top = `linux-source-${series}`;
  const inner = `./usr/src/${top}.tar.xz`;
  // xz decompresses with all cores when the archive was written in blocks, as Debian's is: 9 s instead of 14 s.
  const script =
    `${part} dpkg-deb --fsys-tarfile "$1" | ${part} tar --extract --to-stdout "$2" | ` +
    `${part} xz --decompress --stdout --threads=0 | ` +
    `${part} tar --extract --no-same-owner --directory "$3" "\${@:4}"`;
  const work = `${into}.unpacking`;
  await mkdir(work, { recursive: true });
  try {
    const paths = members.map(member => `${top}/${member}`);
    await run('bash', ['-o', 'pipefail', '-c', script, 'unpack', deb, inner, work, ...paths], {
      signal,
    }).catch((error: unknown) => {
      if (!(error instanceof KstitchError) || error.code !== 'host-tool-failed') throw error;
      // A damaged package has no files either, and of that dpkg-deb complains.
      const whole = !error.notes.some(line => line.startsWith('dpkg-deb: '));
      if (whole && error.notes.includes(`tar: ${inner}: Not found in archive`)) {
        throw new KstitchError('kit-package-unexpected', `read '${top}': it has no '${inner.slice(2)}'`, {
          cause: error,
        });
      }
      const complaints = error.notes.filter(
        line => !/: Not found in archive$|^tar: Exiting with failure/.test(line),
      );
      if (complaints.length > 0 || members.length === 0) throw error;
    });
    const folder = join(work, top);
    const unpacked = await stat(folder).catch(() => undefined);
    if (unpacked !== undefined) await rename(folder, into);
    else if (members.length > 0) await mkdir(into);
    else throw new KstitchError('kit-package-unexpected', `read '${top}': it has no folder '${top}'`);
  } finally {
    await removeTree(work);
  }
}

/** @returns the content of an xz stream; what follows the stream is left alone */
export async function decompressXz(bytes: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
  const { stdout } = await runForBytes('xz', ['--decompress', '--stdout', '--single-stream', '--threads=0'], {
    input: bytes,
    maxOutput: 1024 * 1024 * 1024,
    ...(signal === undefined ? {} : { signal }),
  });
  return stdout;
}
