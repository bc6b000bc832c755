import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { askSnapshotArchive } from './snapshot.ts';

const image = 'linux-image-6.1.0-20-cloud-amd64';

test('an archive is asked when it first had the package', async () => {
  const answers = {
    [`/mr/binary/${image}/`]: {
      binary: image,
      result: [{ binary_version: '6.1.85-1', source: 'linux-signed-amd64' }],
    },
    [`/mr/binary/${image}/6.1.85-1/binfiles?fileinfo=1`]: {
      fileinfo: { c0ffee: [{ archive_name: 'debian-security', first_seen: '20240411T120000Z', size: 1 }] },
    },
  };
  await withServer(answers, async base => {
    const found = await askSnapshotArchive(silentContext(), `${base}/archive/debian-security/`, image, []);
    assert.match(
      found?.sources ?? '',
      new RegExp(
        `^deb \\[check-valid-until=no signed-by=\\S+\\] ${base}/archive/debian-security/20240411T120000Z/ \\S+-security main$`,
      ),
    );
    assert.doesNotMatch(found?.name ?? '/', /\//);
  });
});

test('an address with a timestamp is taken as it is', async () => {
  const address = 'http://127.0.0.1:9/archive/debian/20240411T120000Z';
  const found = await askSnapshotArchive(silentContext(), address, image, []);
  assert.match(found?.sources ?? '', /127\.0\.0\.1:9\/archive\/debian\/20240411T120000Z\/ [a-z]+ main$/);
});

test('a package that it does not know is no failure of the archive', async () => {
  await withServer({}, async base => {
    assert.equal(await askSnapshotArchive(silentContext(), `${base}/archive/debian/`, image, []), undefined);
  });
});

test('an answer that makes no sense never becomes a source', async () => {
  const evil = {
    fileinfo: { c0ffee: [{ archive_name: 'debian ] http://evil/', first_seen: '20240411T120000Z' }] },
  };
  const answers = {
    [`/mr/binary/${image}/`]: { result: [{ binary_version: '1' }] },
    [`/mr/binary/${image}/1/binfiles?fileinfo=1`]: evil,
  };
  await withServer(answers, async base => {
    await assert.rejects(
      askSnapshotArchive(silentContext(), `${base}/archive/debian/`, image, ['why']),
      error =>
        error instanceof KstitchError &&
        error.code === 'kit-snapshot-unreachable' &&
        error.notes[0] === 'why',
    );
  });
});

async function withServer(
  answers: Readonly<Record<string, unknown>>,
  work: (base: string) => Promise<void>,
): Promise<void> {
  const server = createServer((request, response) => {
    const answer = answers[request.url ?? ''];
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(JSON.stringify(answer ?? {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  try {
    await work(`http://127.0.0.1:${address.port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
