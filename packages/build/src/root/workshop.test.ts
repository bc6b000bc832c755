/** A root of a few programs of this machine: entering is real, what lies in it is not Debian's. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { KstitchError } from '@kstitch/report/error';
import { missingNamespaces } from '@kstitch/testkit/namespaces';
import { inRoot, thisMachine } from './workshop.ts';

const work = mkdtempSync(join(tmpdir(), 'kstitch-root-test-'));
process.env['KSTITCH_CACHE'] = join(work, 'cache');
after(() => rmSync(work, { recursive: true, force: true }));
const { signal } = new AbortController();

const directory = join(work, 'cache/roots/test');
for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
  mkdirSync(join(directory, 'usr', name), { recursive: true });
  symlinkSync(`usr/${name}`, join(directory, name));
}
for (const name of ['dev', 'proc', 'tmp']) mkdirSync(join(directory, name));
for (const program of ['env', 'sh', 'cat', 'touch', 'uname']) {
  const libraries = execFileSync('ldd', [`/usr/bin/${program}`], { encoding: 'utf8' }).matchAll(
    /(\/\S+) \(/g,
  );
  for (const path of [`/usr/bin/${program}`, ...[...libraries].flatMap(([, library]) => library ?? [])]) {
    mkdirSync(join(directory, dirname(path)), { recursive: true });
    copyFileSync(path, join(directory, path));
  }
}
const workshop = inRoot({ suite: 'test', packages: [], directory });

const skip = missingNamespaces;

test('a program in a root finds the programs of the root, and its folders at their own paths', {
  skip,
}, async () => {
  const folder = join(work, 'a folder');
  mkdirSync(folder);
  const script =
    'echo "$PATH"; cat name; echo seen > out; cat /proc/self/mounts > mounts; [ -c /dev/null ]; "$@"';
  execFileSync('sh', ['-c', 'echo here > name'], { cwd: folder });
  const { stdout, status } = await workshop.run('sh', ['-c', script, 'x', 'uname', '-s'], {
    cwd: folder,
    signal,
  });
  assert.equal(stdout, '/usr/sbin:/usr/bin\nhere\nLinux\n');
  assert.equal(status, 0);
  assert.equal(readFileSync(join(folder, 'out'), 'utf8'), 'seen\n');
  // Of the machine's programs nothing is there.
  await assert.rejects(workshop.run('gcc', ['--version'], { signal }), { code: 'host-tool-failed' });
});

test('nothing in a root can be changed, and no mount is left behind', { skip }, async () => {
  await assert.rejects(workshop.run('touch', ['/usr/bin/new'], { signal }), error => {
    assert.ok(error instanceof KstitchError && error.code === 'host-tool-failed');
    assert.match(error.notes.join('\n'), /Read-only file system/);
    return true;
  });
  assert.ok(!existsSync(join(directory, 'usr/bin/new')));
  assert.doesNotMatch(readFileSync('/proc/self/mounts', 'utf8'), /kstitch-root-test/);
});

test("a program's own status and words pass through", { skip }, async () => {
  const { status, stderr } = await workshop.run('sh', ['-c', 'echo "sh: words" >&2; exit 1'], {
    signal,
    allowStatus: [1],
  });
  assert.deepEqual([status, stderr], [1, 'sh: words\n']);
});

test('where no mount namespace is allowed the error says so, whatever the caller takes for a result', {
  skip,
}, () => {
  // A user namespace in which no other may be made stands for a machine that allows none.
  const program = `
    import { inRoot } from ${JSON.stringify(new URL('./workshop.ts', import.meta.url).href)};
    const root = { suite: 'test', packages: [], directory: ${JSON.stringify(directory)} };
    try {
      await inRoot(root).run('true', [], { allowStatus: [1] });
    } catch (error) {
      console.log(error.code, error.message);
      console.log(error.help);
    }
  `;
  const limits = 'for limit in user mnt; do echo 0 > /proc/sys/user/max_"$limit"_namespaces; done; exec "$@"';
  const inside = ['--user', '--map-root-user', 'sh', '-c', limits, 'x', process.execPath];
  const { stdout, stderr } = spawnSync('unshare', [...inside, '--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  assert.match(stdout, /^root-not-entered enter the build root '.*': unshare: unshare failed: /, stderr);
  // In that namespace it is root; of the two limits that are 0 it needs the second.
  assert.match(stdout, /^as root: sysctl -w user\.max_mnt_namespaces=15000$/m);
});

test("a root that cannot be mounted is no failure of the program's", { skip }, async () => {
  const gone = inRoot({ suite: 'test', packages: [], directory: join(work, 'gone') });
  rmSync(join(work, 'gone'), { recursive: true, force: true });
  await assert.rejects(gone.run('true', [], { signal }), { code: 'root-not-entered', message: /\/gone'/ });
});

test('this machine is a workshop without a root', async () => {
  process.env['KSTITCH_TEST_VARIABLE'] = 'seen';
  const { stdout } = await thisMachine.run('sh', ['-c', 'echo "$KSTITCH_TEST_VARIABLE."'], { signal });
  assert.equal(stdout, '.\n');
  assert.equal(thisMachine.root, undefined);
});
