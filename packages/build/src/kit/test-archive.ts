/** For tests: a package archive of one folder, served by this process. */
import { once } from 'node:events';
import { createServer } from 'node:http';

/** One package as the archive's index lists it; apt downloads none of them. */
export interface Offer {
  readonly name: string;
  readonly version: string;
  readonly depends?: string;
}

export interface Archive {
  /** `http://127.0.0.1:PORT` */
  readonly base: string;
  /** The one line of sources.list for it. */
  readonly sources: string;
  /** From now on every request is answered with 404. */
  readonly vanish: () => void;
  /** How often the index was asked for. */
  readonly asked: () => number;
}

/** Serves an archive while `work` runs. What it is asked beside its index it does not know. */
export async function withArchive<T>(
  offers: readonly Offer[],
  work: (archive: Archive) => Promise<T>,
): Promise<T> {
  const index = offers.map(stanza).join('\n');
  let gone = false;
  let asked = 0;
  const server = createServer((request, response) => {
    const found = request.url?.endsWith('/Packages') === true;
    if (found) asked += 1;
    response.statusCode = found && !gone ? 200 : 404;
    response.end(found && !gone ? index : '');
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
      asked: () => asked,
    });
  } finally {
    if (before === undefined) delete process.env['no_proxy'];
    else process.env['no_proxy'] = before;
    server.closeAllConnections();
    server.close();
  }
}

function stanza({ name, version, depends }: Offer): string {
  return `Package: ${name}
Version: ${version}
Architecture: all
${depends === undefined ? '' : `Depends: ${depends}\n`}Filename: ./${name}.deb
Size: 1
SHA256: ${'a'.repeat(64)}
Description: a package
`;
}
