/** For tests: a package archive of one folder, served by this process. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { PackageInfo } from './distribution.ts';

/** One package as the archive's index lists it. */
export interface Offer {
  readonly name: string;
  readonly version: string;
  readonly depends?: string;
  /** What the index says of the package's file; without it there is none. */
  readonly file?: Uint8Array;
  /** The source package that it was built from. */
  readonly source?: string;
  /** The index does not tell the hash of its file. */
  readonly hashless?: true;
}

/** A source package as the archive's index lists it. */
export interface SourceOffer {
  readonly name: string;
  readonly version: string;
}

export interface Archive {
  /** `http://127.0.0.1:PORT` */
  readonly base: string;
  /** The one line of sources.list for it. */
  readonly sources: string;
  /** From now on every request is answered with 404. */
  readonly vanish: () => void;
  /** From now on the file of this package is served with other bytes than the index says. */
  readonly spoil: (name: string) => void;
  /** The files are served as they are again. */
  readonly mend: () => void;
  /** How often the index was asked for. */
  readonly asked: () => number;
}

/** Serves an archive while `work` runs: its index, and the files that the offers have. */
export async function withArchive<T>(
  offers: readonly Offer[],
  work: (archive: Archive) => Promise<T>,
  sources: readonly SourceOffer[] = [],
): Promise<T> {
  const indexes = new Map([
    ['Packages', offers.map(stanza).join('\n')],
    ['Sources', sources.map(sourceStanza).join('\n')],
  ]);
  let gone = false;
  let asked = 0;
  const spoiled = new Set<string>();
  const server = createServer((request, response) => {
    const index = indexes.get(/\/(Packages|Sources)$/.exec(request.url ?? '')?.[1] ?? '');
    if (index !== undefined) asked += 1;
    const name = /([^/]+)\.deb$/.exec(request.url ?? '')?.[1] ?? '';
    const file = offers.find(offer => offer.name === name)?.file;
    const answer = index ?? (file && spoiled.has(name) ? file.map(byte => byte ^ 1) : file);
    response.statusCode = answer !== undefined && !gone ? 200 : 404;
    response.end(answer !== undefined && !gone ? answer : '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new TypeError('the server has no port');
  const base = `http://127.0.0.1:${address.port}`;
  // A proxy that this machine may have leads to its own 127.0.0.1.
  const before = process.env['no_proxy'];
  process.env['no_proxy'] = '127.0.0.1';
  try {
    return await work({
      base,
      // It is not signed, and apt is told so.
      sources: `deb [trusted=yes] ${base}/debian/ ./`,
      vanish: () => {
        gone = true;
      },
      spoil: name => void spoiled.add(name),
      mend: () => spoiled.clear(),
      asked: () => asked,
    });
  } finally {
    if (before === undefined) delete process.env['no_proxy'];
    else process.env['no_proxy'] = before;
    server.closeAllConnections();
    server.close();
  }
}

/** @returns what the index says of it */
export function infoOf({ name, version, file }: Offer): PackageInfo {
  const sha256 = file === undefined ? 'a'.repeat(64) : createHash('sha256').update(file).digest('hex');
  return { name, version, size: file?.length ?? 1, sha256 };
}

function stanza(offer: Offer): string {
  const { name, version, depends, source, hashless } = offer;
  const { size, sha256 } = infoOf(offer);
  return `Package: ${name}
Version: ${version}
Architecture: all
${source === undefined ? '' : `Source: ${source}\n`}${depends === undefined ? '' : `Depends: ${depends}\n`}Filename: ./${name}.deb
Size: ${size}
${hashless === true ? '' : `SHA256: ${sha256}\n`}Description: a package
`;
}

function sourceStanza({ name, version }: SourceOffer): string {
  const upstream = version.replace(/-[^-]*$/, '');
  return `Package: ${name}
Version: ${version}
Format: 3.0 (quilt)
Binary: ${name}-source
Directory: .
Checksums-Sha256:
 ${'a'.repeat(64)} 1 ${name}_${version}.dsc
 ${'b'.repeat(64)} 2 ${name}_${version}.debian.tar.xz
 ${'c'.repeat(64)} 3 ${name}_${upstream}.orig.tar.xz
`;
}
