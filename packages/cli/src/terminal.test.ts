import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { displayWidth } from '@kstitch/report/render-text';
import { lookOf, progressModeOf, type Stream } from './terminal.ts';

const stream: Stream = { write: () => true, on: () => undefined };
const terminal: Stream = { ...stream, isTTY: true, columns: 132, rows: 40, hasColors: () => true };

test('lookOf() colours terminals only, and none with NO_COLOR', () => {
  assert.deepEqual(lookOf(stream, { LANG: 'C.UTF-8' }), { columns: 80, colour: false, unicode: true });
  assert.deepEqual(lookOf(terminal, { LANG: 'C' }), { columns: 132, colour: true, unicode: false });
  assert.equal(lookOf(terminal, { NO_COLOR: '1' }).colour, false);
  assert.equal(lookOf({ ...terminal, columns: 0 }, {}).columns, 80);
});

test('lookOf() takes the first variable of the locale that is set', () => {
  assert.equal(lookOf(terminal, { LC_ALL: 'C', LANG: 'en_GB.UTF-8' }).unicode, false);
  assert.equal(lookOf(terminal, { LC_ALL: '', LC_CTYPE: 'C.utf8', LANG: 'C' }).unicode, true);
});

test('progress is live only where a cursor can be moved', () => {
  assert.equal(progressModeOf(terminal, { TERM: 'xterm' }), 'live');
  assert.equal(progressModeOf(terminal, { TERM: 'dumb' }), 'lines');
  assert.equal(progressModeOf(terminal, {}), 'lines');
  assert.equal(progressModeOf(stream, { TERM: 'xterm' }), 'lines');
});

const hasScript = spawnSync('script', ['--version']).status === 0;
const real = {
  skip: hasScript ? false : "'script' of bsdutils is not installed, which brings a real terminal",
};

/** A command that works until it is interrupted, and says when it has cleaned up. */
const endless = `
  import { runCommand } from '@kstitch/cli/run-command';
  process.exit(await runCommand('wait', {}, context =>
    context.progress.step('compile ' + 'a-long-folder/'.repeat(10) + 'mballoc.c', async update => {
      update('3 of 7');
      const still = setInterval(() => {}, 1000);
      await new Promise(resolve => context.signal.addEventListener('abort', resolve));
      clearInterval(still);
      context.progress.note('cleaned up');
      throw context.signal.reason;
    })));
`;

/** Runs the command in a real terminal of 60 columns. */
function inTerminal(code: string, env: NodeJS.ProcessEnv): { child: ChildProcess; output: () => string } {
  const command = `stty cols 60 rows 20; exec "${process.execPath}" --input-type=module -e "$CODE"`;
  const child = spawn('script', ['-qfec', command, '/dev/null'], {
    cwd: import.meta.dirname,
    env: {
      ...process.env,
      // Node.js takes a terminal in CI for one without colours.
      CI: undefined,
      TERM: 'xterm',
      LANG: 'C.UTF-8',
      LC_ALL: 'C.UTF-8',
      SHELL: '/bin/sh',
      CODE: code,
      ...env,
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout?.on('data', chunk => void (text += chunk));
  return { child, output: () => text };
}

async function sees(run: { child: ChildProcess; output: () => string }, pattern: RegExp): Promise<void> {
  while (!pattern.test(run.output())) await once(run.child.stdout!, 'data');
}

test(
  'in a real terminal a long step has a live line in colour, and Ctrl-C ends it after the clean-up with 130',
  real,
  async t => {
    const run = inTerminal(endless, { NO_COLOR: '' });
    t.after(() => run.child.kill());
    await sees(run, / [2-9] s/);
    run.child.stdin!.write('\x03');
    const [status] = await once(run.child, 'close');
    const text = run.output();
    assert.equal(status, 130);
    assert.match(text, /\x1b\[36m[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]\x1b\[39m compile a-long-folder/);
    assert.match(text, /cleaned up\r\n/);
    assert.match(stripVTControlCharacters(text), /interrupted\[interrupted\]: stopped by SIGINT\r\n/);
    // No line of the live region may wrap, and the `^C` that the terminal adds is not ours.
    for (const frame of text.replace('^C', '').split(/\x1b\[J|\r|\n/)) {
      assert.ok(displayWidth(stripVTControlCharacters(frame)) < 60, frame);
    }
  },
);

test('NO_COLOR holds in a real terminal, and a locale without UTF-8 gets ASCII', real, async t => {
  const run = inTerminal(endless, { NO_COLOR: '1', LC_ALL: 'C' });
  t.after(() => run.child.kill());
  await sees(run, / [2-9] s/);
  run.child.stdin!.write('\x03');
  await once(run.child, 'close');
  assert.doesNotMatch(run.output(), /\x1b\[\d+m|[^\x00-\x7f]/);
  assert.match(run.output(), /[|/\\-] compile a-long-folder.*~/);
});
