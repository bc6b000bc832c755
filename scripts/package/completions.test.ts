import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { readHelp } from './command-help.ts';
import { writeBashCompletion, writeZshCompletion } from './completions.ts';

const help = await readHelp();
const bash = writeBashCompletion(help);
const zsh = writeZshCompletion(help);

/** What bash would offer for the last of the words; `files`: it was told to offer those. */
function complete(...words: readonly string[]): string[] {
  const script = `${bash}
    compopt() { [ "$*" = '-o default' ] && echo files; }
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _kstitch
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script, 'bash', 'kstitch', ...words], {
    encoding: 'utf8',
  });
  assert.deepEqual([status, stderr], [0, '']);
  return stdout.split('\n').filter(line => line !== '');
}

test('bash completes commands, options and files', () => {
  assert.deepEqual(complete('lo'), ['load']);
  assert.deepEqual(complete('kernel', 'f'), ['fetch']);
  assert.deepEqual(complete('kernel', 'fetch', '--snap'), ['--snapshot']);
  assert.deepEqual(complete('load', '--ti'), ['--timeout', '--timing']);
  assert.deepEqual(complete('load', '--quiet', '--dr'), ['--dry-run', '--drop']);
  assert.deepEqual(complete('load', ''), ['files']);
  // The value of an option, not another option.
  assert.deepEqual(complete('load', '--timeout', ''), ['files']);
  assert.deepEqual(complete('load', '--timeout', '-'), ['files']);
  // No livepatch is loaded here; and no file is one.
  assert.deepEqual(complete('unload', 'no-such'), []);
  const commands = help.find(({ words }) => words === '')?.commands ?? [];
  assert.deepEqual(
    commands.filter(name => !complete('').includes(name)),
    [],
  );
});

test('zsh takes its completion, with every option', t => {
  for (const { words, options } of help) {
    const [, part = ''] = zsh.split(`    '${words}')\n`);
    const own = part.split(';;')[0] ?? '';
    for (const { long } of options) assert.ok(own.includes(long ?? ''), `${words}: ${long}`);
  }
  const checked = spawnSync('zsh', ['-n'], { input: zsh, encoding: 'utf8' });
  if (checked.error !== undefined) return t.skip('zsh is not installed');
  assert.deepEqual([checked.status, checked.stderr], [0, '']);
});
