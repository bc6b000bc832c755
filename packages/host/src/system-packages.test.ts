import assert from 'node:assert/strict';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { requiredPackages } from './debian-packages.ts';
import { withTemporaryDirectory } from './files.ts';
import { run } from './run.ts';
import { missingPackages } from './system-packages.ts';

test('what is installed here is not missing', async () => {
  const missing = await missingPackages(['kit']);
  assert.deepEqual(
    missing.filter(entry => ['apt', 'dpkg', 'tar', 'coreutils'].includes(entry.name)),
    [],
  );
});

test('the packages asked for are those of the purpose', async () => {
  // With a dpkg that knows nothing and a PATH without programs, everything is missing.
  const names = (await onBareMachine(['vm'], '')).missing;
  const expected = requiredPackages.filter(entry => (entry.purposes as readonly string[]).includes('vm'));
  assert.deepEqual(
    names,
    expected.map(entry => entry.name).filter(name => names.includes(name)),
  );
  assert.ok(names.includes('qemu-system-x86') && names.includes('busybox-static'));
  assert.ok(!names.includes('flex'));
});

test('an ordinary user without a terminal is refused with the apt line', async () => {
  const { refused } = await onBareMachine(['vm'], 'process.getuid = () => 1000;');
  assert.equal(refused.code, 'host-packages-missing');
  assert.match(refused.help, /sudo apt-get install --no-install-recommends .*qemu-system-x86/);
});

test('root without --yes and without a terminal is refused, too', async () => {
  const { refused } = await onBareMachine(['vm'], 'process.getuid = () => 0; delete process.env.CI;');
  assert.equal(refused.code, 'host-packages-missing');
  assert.doesNotMatch(refused.help, /sudo/);
});

test('root with --yes installs at once, after saying what and why', async () => {
  const { installed, notes } = await onBareMachine(
    ['vm'],
    'process.getuid = () => 0; options.assumeYes = true;',
  );
  assert.match(installed, /install --yes --no-install-recommends .*qemu-system-x86/);
  assert.ok(notes.some(note => note.includes('qemu-system-x86: boots the kernel')));
});

test('a terminal is asked, and a no is taken', async () => {
  const { refused, installed } = await onBareMachine(
    ['vm'],
    'process.getuid = () => 0; delete process.env.CI; options.interactive = true;',
  );
  assert.equal(refused.code, 'host-packages-declined');
  assert.equal(installed, '');
});

test("a failure of apt is told in apt's words, with the line to run oneself", async () => {
  // The machine's own apt-get, which is shown no archive.
  const { refused, installed } = await onBareMachine(
    ['vm'],
    'process.getuid = () => 0; options.assumeYes = true;',
    { apt: 'real' },
  );
  assert.equal(refused.code, 'host-packages-failed');
  assert.match(refused.message, /^install .*'qemu-system-x86'.*: apt-get failed$/);
  assert.ok(refused.notes.includes('E: Unable to locate package qemu-system-x86'), refused.notes.join('\n'));
  assert.match(refused.help, /: apt-get install --no-install-recommends .*qemu-system-x86/);
  assert.equal(installed, '');
});

interface Outcome {
  readonly missing: readonly string[];
  readonly notes: readonly string[];
  readonly refused: {
    readonly code: string;
    readonly message: string;
    readonly notes: readonly string[];
    readonly help: string;
  };
  /** What apt-get was called with. */
  readonly installed: string;
}

/**
 * Runs ensurePackages in a process whose PATH holds a dpkg-query that knows no package and an apt-get that writes down its
 * arguments: installing for real is not for a test. With `apt: 'real'` it is the machine's, with neither archives nor lists.
 */
async function onBareMachine(
  purposes: readonly string[],
  setUp: string,
  { apt }: { readonly apt: 'real' | 'recorder' } = { apt: 'recorder' },
): Promise<Outcome> {
  return await withTemporaryDirectory('packages-test', async directory => {
    const bin = join(directory, 'bin');
    await mkdir(bin);
    for (const tool of ['sh', 'env', 'setpriv']) await symlink(`/usr/bin/${tool}`, join(bin, tool));
    const calls = join(directory, 'calls');
    await writeFile(join(bin, 'dpkg-query'), '#!/bin/sh\nexit 1\n');
    const recorder = `echo "$@" >> '${calls}'`;
    const aptGet = apt === 'real' ? 'exec /usr/bin/apt-get "$@"' : recorder;
    await writeFile(join(bin, 'apt-get'), `#!/bin/sh\n${aptGet}\n`);
    for (const name of ['dpkg-query', 'apt-get']) await chmod(join(bin, name), 0o755);
    await writeFile(join(directory, 'status'), '');
    await writeFile(join(directory, 'apt.conf'), noArchive(directory));
    await writeFile(calls, '');
    const script = `import { ensurePackages, missingPackages } from ${JSON.stringify(import.meta.resolve('./system-packages.ts'))};
      import { silentContext } from ${JSON.stringify(import.meta.resolve('@kstitch/report/context'))};
      import { readFileSync } from 'node:fs';
      const notes = [];
      const quiet = silentContext();
      const context = { ...quiet, progress: { ...quiet.progress, note: line => notes.push(line) } };
      const options = { assumeYes: false, interactive: false, ask: async () => false };
      const missing = (await missingPackages(${JSON.stringify(purposes)})).map(entry => entry.name);
      ${setUp}
      let refused = { code: '', message: '', notes: [], help: '' };
      await ensurePackages(context, ${JSON.stringify(purposes)}, options).catch(({ code, message, notes, help }) => { refused = { code, message, notes, help }; });
      console.log(JSON.stringify({ missing, notes, refused, installed: readFileSync(${JSON.stringify(calls)}, 'utf8') }));`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
      env: { PATH: bin, CI: undefined, APT_CONFIG: join(directory, 'apt.conf') },
      signal: silentContext().signal,
    });
    return JSON.parse(stdout);
  });
}

/**
 * An apt configuration by which nothing can be found, fetched or installed. It is read before the machine's own, so that it can
 * keep that out: what it hooks to an update is meant for the system's files.
 */
function noArchive(directory: string): string {
  return `Dir::State "${directory}";
Dir::State::status "${directory}/status";
Dir::Cache "${directory}";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "/dev/null";
Debug::NoLocking "true";
`;
}
