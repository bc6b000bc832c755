/** A compiler of another revision than the kernel's: it says so, and makes other code of the same source. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { silentContext } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { testKit, testRelease } from '@kstitch/testkit/kit';
import { buildLivepatch } from './build-livepatch.ts';
import { verifyKernel } from './verify-kernel.ts';

await testKit();
const patch = await editPatch('drivers/net/dummy.c', '\tdev->min_mtu = 0;\n', '\tdev->min_mtu = 68;\n');
const work = await mkdtemp(join(tmpdir(), 'kstitch-compiler-test-'));
after(() => rm(work, { recursive: true, force: true }));
// A cache of its own for what it compiles.
const cache = join(work, 'cache');
await mkdir(cache);
await symlink(join(cacheDirectory(), 'kits'), join(cache, 'kits'));
process.env['KSTITCH_CACHE'] = cache;

const real = execFileSync('sh', ['-c', 'command -v gcc-12'], { encoding: 'utf8' }).trim();
const wanted = execFileSync(real, ['--version'], { encoding: 'utf8' }).split('\n')[0] ?? '';
const other = wanted.replace(/\+deb12u1\)|\)(?= \S+$)/, '+deb12u9)');
await mkdir(join(work, 'bin'));
await writeFile(
  join(work, 'bin/gcc-12'),
  `#!/bin/sh\n[ "$*" = --version ] && echo '${other}' && exit\nexec ${real} "$@" -fno-schedule-insns2\n`,
);
await chmod(join(work, 'bin/gcc-12'), 0o755);
process.env['PATH'] = `${join(work, 'bin')}:${process.env['PATH']}`;

test('a build with a compiler of another revision is refused with the names of both', async () => {
  const error = await buildLivepatch(silentContext(), {
    patches: [{ name: 'dummy.patch', bytes: Buffer.from(patch, 'latin1') }],
    release: testRelease,
    name: 'dummy',
    outputDirectory: join(work, 'out'),
  }).catch((reason: unknown) => reason);
  assert.ok(error instanceof Refusal, String(error));
  assert.deepEqual(
    error.diagnostics.map(({ code, text }) => `${code}: ${text}`),
    [`wrong-compiler: the kernel was built with '${wanted}', this machine has '${other}'`],
  );
});

test('kernel verify shows where its code differs first: function, offset and bytes', async () => {
  const found = await verifyKernel(silentContext(), testRelease, { sample: 3, seed: 1 });
  assert.deepEqual(
    found.tools.map(({ code }) => code),
    ['wrong-compiler'],
  );
  const mismatches = found.failures.flatMap(({ findings }) =>
    findings.filter(({ code }) => code === 'run-pre-mismatch'),
  );
  const [first] = mismatches;
  assert.ok(first, JSON.stringify(found));
  assert.match(first.place.symbol ?? '', /^\w+/);
  assert.ok(Number.isInteger(first.place.offset));
  assert.match(first.notes.join('\n'), /[0-9a-f]{2} [0-9a-f]{2}/);
});
