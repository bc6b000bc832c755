import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Command } from 'commander';
import { main } from './main.ts';
import { buildProgram, CommandLineEnd } from './program.ts';
import { machine } from './test-machine.ts';

const mainFile = join(import.meta.dirname, 'main.ts');

function kstitch(...words: string[]) {
  return kstitchIn(process.env, ...words);
}

function kstitchIn(env: NodeJS.ProcessEnv, ...words: string[]) {
  return spawnSync(process.execPath, [mainFile, ...words], { encoding: 'utf8', input: '', env });
}

function program(ran: string[] = [], words: readonly string[] = []): Promise<Command> {
  const options = {
    version: '1.2.3',
    run: (command: string) => {
      ran.push(command);
      return Promise.resolve();
    },
    writeOut: () => {},
    writeErr: () => {},
    columns: 80,
  };
  return buildProgram(options, words);
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

test('every command has the common options and a help of 80 columns with an example that it takes', async () => {
  for (const command of withSubcommands(await program())) {
    let help = '';
    command.configureOutput({ writeOut: text => void (help += text) });
    assert.throws(() => command.parse(['--help'], { from: 'user' }), CommandLineEnd);
    assert.deepEqual(
      help.split('\n').filter(line => line.length > 80),
      [],
      command.name(),
    );
    if (command.commands.length === 0)
      for (const option of ['--json', '--quiet', '--timing', '--debug'])
        assert.match(help, new RegExp(option));
    const examples = help.replaceAll('\\\n', ' ').match(/^ {2}\$ kstitch .*/gm) ?? [];
    if (command.commands.length === 0) assert.ok(examples.length > 0, `${command.name()} has an example`);
    for (const example of examples) {
      const words = example
        .replace(/^ {2}\$ kstitch /, '')
        .replace('"$(uname -r)"', '6.1.0-1-amd64')
        .replace(/ >.*/, '')
        .split(/\s+/);
      const ran: string[] = [];
      await (await program(ran, words)).parseAsync(words, { from: 'user' });
      assert.equal(ran.length, 1, example);
    }
  }
});

/** Writes the address of each module that the process loads to standard error. */
const tellModules = `data:text/javascript,import { registerHooks } from 'node:module';
  registerHooks({ load(url, context, next) { process._rawDebug(url); return next(url, context); } });`;

test("a command's run loads no module of another command", () => {
  const commandsOf = (...words: string[]): string[] => {
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--import', tellModules.replaceAll(/\s+/g, ' '), mainFile, ...words],
      { encoding: 'utf8' },
    );
    assert.equal(status, 0, stderr);
    return [...stderr.matchAll(/\/commands\/([\w-]+)\.ts$/gm)].map(([, name = '']) => name);
  };
  assert.deepEqual(commandsOf('list', '--help'), ['list']);
  assert.deepEqual(commandsOf('kernel', 'fetch', '--help'), ['kernel']);
  assert.ok(commandsOf('--help').length > 10);
});

test('usage errors: 64, the catalogue code, what was meant, and where to look', async () => {
  const cases: [words: string[], text: RegExp][] = [
    [
      ['biuld', 'x'],
      /^error\[usage\]: unknown command 'biuld' \(did you mean build\?\)\n {2}help: `kstitch --help`/,
    ],
    [
      ['build', 'x', '--kernal', 'y'],
      /unknown option '--kernal' \(did you mean --kernel\?\)\n {2}help: `kstitch build --help`/,
    ],
    [['build'], /missing required argument 'patch'/],
    [['build', 'x.patch', '--identity', 'fs/pipe.c'], /'--identity' takes no patches/],
    [['build', 'x.patch', '--leave-out', 'f'], /'--leave-out' needs '--identity'/],
    [['kernel', 'fetch'], /missing required argument 'release'\n {2}help: `kstitch kernel fetch --help`/],
    [['kernel', 'fetch', '../../etc'], /It must be a\n? *kernel release/],
    [['kernel', 'fetch', '6.1.0', 'extra'], /too many arguments/],
    [['kernel', 'fetch', '6.1.0-1-amd64', '--snapshot', 'file:///etc'], /http or https address/],
    [['kernel', 'fetch', '6.1.0-1-amd64', '--from-running'], /a release goes with neither --kernel-dir nor/],
    [['kernel', 'fetch', '6.1.0-1-amd64', '--kernel-dir', '/'], /a release goes with neither --kernel-dir/],
    [['kernel', 'fetch', '--print-packages', '6.1.0-1-amd64', '--from-running'], /a release goes with/],
    [['kernel', 'fetch', '--print-packages', '--from-running'], /'--print-packages' needs a release/],
    [['kernel', 'fetch', '--kernel-dir', '/', '--from-running'], /--kernel-dir does not go with/],
    [
      ['kernel', 'fetch', '--kernel-dir', '/', '--snapshot', 'http://a/b'],
      /--snapshot does not go with\s+--kernel-dir/,
    ],
    [['kernel', 'verify', '6.1.0-1-amd64', '--from-running'], /a release goes with neither/],
    [['delta', '6.1-1', '-x;rm'], /unknown option/],
    [['delta', '6.1-1', '6.1 2'], /Debian package version/],
    [['kernel', 'verify', '6.1.0-1-amd64', '--sample', '0'], /whole number\s+from\s+1 to\s+100000/],
    [['prove', 'x.ko'], /--reproducer <script>' not\s+specified/],
  ];
  for (const [words, text] of cases) {
    const on = machine();
    assert.equal(await main(words, on), 64, words.join(' '));
    assert.equal(on.stdout.text, '');
    assert.match(on.stderr.text, text);
  }
});

test('a usage error with --json is JSON', () => {
  const { status, stdout, stderr } = kstitch('kernel', 'verify', '--json');
  assert.equal(status, 64);
  assert.equal(stderr, '');
  const object = JSON.parse(stdout);
  assert.equal(object.schema, 'kstitch/kernel-verify/1');
  assert.equal(object.error.code, 'usage');
});

test('--version and --help are answers, no command at all is not', () => {
  const version = kstitch('--version');
  assert.deepEqual([version.status, version.stdout], [0, 'kstitch 0.1.0\n']);
  assert.equal(kstitch('help', 'build').status, 0);
  const none = kstitch();
  assert.deepEqual([none.status, none.stdout], [64, '']);
  assert.match(none.stderr, /^Usage: kstitch/);
});

test('what only asks the package archive wants no compiler', t => {
  const bin = mkdtempSync(join(tmpdir(), 'kstitch-bin-'));
  t.after(() => rmSync(bin, { recursive: true }));
  for (const tool of ['sh', 'setpriv']) symlinkSync(`/usr/bin/${tool}`, join(bin, tool));
  // A dpkg that knows no package.
  writeFileSync(join(bin, 'dpkg-query'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  for (const [words, isWanted] of [
    [['fetch', '6.1.0-1-amd64'], true],
    [['import', 'kit.tar'], true],
    [['fetch', '--print-packages', '6.1.0-1-amd64'], false],
    [['export', '6.1.0-1-amd64', '--output', 'kit.tar'], false],
  ] as const) {
    const { stdout } = kstitchIn({ PATH: bin }, 'kernel', ...words, '--json');
    const { code, help } = JSON.parse(stdout).error;
    assert.equal(code, 'host-packages-missing', stdout);
    assert.match(help, / apt dpkg /, words.join(' '));
    assert.equal(/ make | gcc/.test(help), isWanted, `${words.join(' ')}: ${help}`);
  }
});

test('a file of the command line that cannot be used has its code', t => {
  const folder = mkdtempSync(join(tmpdir(), 'kstitch-cli-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const module = join(folder, 'x.ko');
  writeFileSync(module, '');
  writeFileSync(join(folder, 'x.json'), Buffer.from([0x64, 0xff, 0x00]));
  const cases: [words: string[], text: RegExp][] = [
    [
      ['inspect', join(folder, 'none.ko')],
      /^error\[input-unreadable\]: read livepatch '.*': no such file or\s+directory/,
    ],
    [
      ['inspect', folder],
      /^error\[input-unreadable\]: read livepatch '.*': illegal operation on a\s+directory/,
    ],
    [
      ['kernel', 'import', join(folder, 'none.tar')],
      /^error\[input-unreadable\]: read '.*none\.tar': no such file or\s+directory/,
    ],
    [
      ['kernel', 'fetch', '--kernel-dir', join(folder, 'none')],
      /^error\[input-unreadable\]: use the kernel in '.*none': no such file or\s+directory/,
    ],
    [
      ['kernel', 'fetch', '--kernel-dir', module],
      /^error\[input-unreadable\]: use the kernel in '.*x\.ko': it is no folder/,
    ],
    [['build', '/dev/zero'], /^error\[input-too-large\]: read patch '\/dev\/zero': more than the 16 MiB/],
    [
      ['prove', module, '--reproducer', 'r.sh'],
      /^error\[input-not-text\]: read bundle '.*': not UTF-8 text, first at\s+byte 1/,
    ],
  ];
  for (const [words, text] of cases) {
    const { status, stderr } = kstitch(...words);
    assert.equal(status, 1, words.join(' '));
    assert.match(stderr.replaceAll('\n  ', ' '), text);
  }
});

test('build tells bundles from patches behind --on, and wants one of either', t => {
  const folder = mkdtempSync(join(tmpdir(), 'kstitch-cli-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const bundle = join(folder, 'old.json');
  writeFileSync(bundle, '{}');
  for (const words of [[], ['--on', 'new.patch'], ['new.patch', '--max-units', '0']]) {
    assert.equal(kstitch('build', ...words).status, 64, words.join(' '));
  }
  for (const words of [
    ['--on', bundle, 'new.patch'],
    ['new.patch', '--on', bundle],
  ]) {
    assert.match(
      kstitch('build', ...words).stderr,
      /^error\[bundle-malformed\]: cannot read bundle 'old\.json'/,
    );
  }
});

test('a full disk is an error also for help; a reader that went away is none', () => {
  const full = spawnSync('sh', ['-c', `"$0" "$1" --help > /dev/full`, process.execPath, mainFile], {
    encoding: 'utf8',
  });
  assert.equal(full.status, 1);
  assert.match(full.stderr, /^error\[output-failed\]: /);
  const gone = spawnSync(
    'bash',
    ['-c', `"$0" "$1" --help | true; exit \${PIPESTATUS[0]}`, process.execPath, mainFile],
    { encoding: 'utf8' },
  );
  assert.deepEqual([gone.status, gone.stderr], [0, '']);
});

test('two equal versions have no difference, and that is status 3', async () => {
  const on = machine();
  assert.equal(await main(['delta', '6.1.192-1', '6.1.192-1', 'fs/ext4/super.c', '--json'], on), 3);
  assert.equal(JSON.parse(on.stdout.text).error.code, 'delta-empty');
});
