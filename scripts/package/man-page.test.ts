import assert from 'node:assert/strict';
import { release } from 'node:os';
import { test } from 'node:test';
import { readHelp } from './command-help.ts';
import { writeManPage } from './man-page.ts';

const help = await readHelp();
const page = writeManPage(help, '1.2', '2026-11-24');
/** As it is read: without roff's escapes. */
const plain = page
  .replaceAll('\\-', '-')
  .replaceAll('\\(ga', '`')
  .replaceAll('\\(aq', "'")
  .replaceAll('\\e', '\\');

test('the page has every command with every argument, option and example', () => {
  assert.match(page, /^\.TH KSTITCH 1 "2026-11-24" "kstitch 1\.2" "User Commands"\n/);
  const leaves = help.filter(({ commands, words }) => commands.length === 0 && words !== '');
  assert.ok(leaves.length >= 13, `only ${leaves.length} commands`);
  for (const command of leaves) {
    const [, section = ''] = plain.split(new RegExp(`^\\.SS "kstitch ${command.words}(?: [<[].*)?"\n`, 'm'));
    assert.notEqual(section, '', command.words);
    const own = section.split(/^\.S[SH] /m, 1)[0] ?? '';
    for (const { name } of command.arguments.map(argument => ({ name: argument.name() })))
      assert.ok(own.includes(name), `${command.words}: ${name}`);
    for (const { flags } of command.options)
      assert.ok(
        own.includes(`.B ${flags}\n`) || plain.split('.SH OPTIONS')[1]?.includes(`.B ${flags}\n`),
        flags,
      );
    assert.match(own, /^\$ kstitch /m, `${command.words} has no example`);
  }
  assert.match(plain, /^\.SH EXIT STATUS\n.*\n.*\n0 done, 1 error/m);
});

test('what is peculiar to the machine is not in it', () => {
  assert.match(plain, /the running one/);
  assert.ok(!plain.includes(release()));
});

test('no text is taken for a request of roff, and a minus can be copied', () => {
  assert.match(page, /^\.B \\-\\-timeout <seconds>$/m);
  const [first] = help;
  assert.ok(first !== undefined);
  const odd = { ...first, description: ".so /etc/passwd\n'br a\\b" };
  assert.match(writeManPage([odd], '1', '2'), /\n\\&\.so \/etc\/passwd\n\\\(aqbr a\\eb\n/);
});
