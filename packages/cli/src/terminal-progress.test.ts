import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test } from 'node:test';
import { formatSeconds, type ProgressMode, TerminalProgress } from './terminal-progress.ts';

/** A screen that remembers what was written and can be waited for. */
class Screen extends EventEmitter {
  text = '';
  readonly progress: TerminalProgress;

  constructor(mode: ProgressMode, columns = 80, patience = 0, rows = 24) {
    super();
    this.progress = new TerminalProgress({
      mode,
      patience,
      rows: () => rows,
      write: text => {
        this.text += text;
        this.emit('write');
      },
      look: () => ({ columns, colour: false, unicode: true }),
    });
  }

  async shows(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.text)) await once(this, 'write');
    return this.text;
  }

  /** What a terminal would show: applies the few sequences that the progress uses. */
  lines(): string[] {
    const lines = [''];
    let row = 0;
    for (const [token] of this.text.matchAll(/\x1b\[(\d*)([AJ])|\r|\n|[^\x1b\r\n]+/g)) {
      if (token === '\n') {
        row += 1;
        lines[row] ??= '';
      } else if (token === '\r') continue;
      else if (token.endsWith('A')) row -= Number(token.slice(2, -1));
      else if (token === '\x1b[J') lines.splice(row, lines.length, '');
      else lines[row] += token;
    }
    return lines;
  }
}

test('a live line has label, detail and seconds, and gives way to a line that stays', async () => {
  const screen = new Screen('live');
  await screen.progress.step('compile fs/ext4/mballoc.c', async update => {
    update('3 of 7');
    await screen.shows(/3 of 7/);
  });
  screen.progress.close();
  assert.match(screen.text, /⠋ compile fs\/ext4\/mballoc\.c {2}3 of 7 {2}0 s/);
  // How long the step took is the machine's affair.
  const [line, ...rest] = screen.lines();
  assert.match(line ?? '', /^✓ compile fs\/ext4\/mballoc\.c {2}\d+\.\d s$/);
  assert.deepEqual(rest, ['']);
});

test('a live line never reaches the last column, whatever the label', async () => {
  const screen = new Screen('live', 40);
  await screen.progress.step('x'.repeat(100), async update => {
    update('y'.repeat(100));
    await screen.shows(/…/);
  });
  await screen.progress.step('short', async update => {
    update('漢'.repeat(100));
    await screen.shows(/漢/);
  });
  const frames = screen.text.split(/\x1b\[J|\r|\n/).filter(frame => frame !== '');
  for (const frame of frames) assert.ok(frame.replaceAll('漢', '##').length <= 39, frame);
});

test('steps that nest or run beside each other have a line each, up to the height of the window', async () => {
  const screen = new Screen('live', 80, 0, 5);
  let frame: string[] = [];
  await screen.progress.step('build', () =>
    Promise.all(
      ['a', 'b', 'c', 'd'].map(name =>
        screen.progress.step(name, async () => {
          await screen.shows(/more/);
          if (frame.length === 0) frame = screen.lines();
        }),
      ),
    ),
  );
  assert.deepEqual(
    frame.map(line => line.replace(/[⠋⠙⠹]/, '*')),
    ['* build  d  0 s', '  * a  0 s', '  and 3 more'],
  );
  const [build] = screen.progress.steps;
  assert.deepEqual(
    build?.children.map(child => [child.label, child.depth]),
    [
      ['a', 1],
      ['b', 1],
      ['c', 1],
      ['d', 1],
    ],
  );
});

test('without a terminal: a line when a step turns out long, and one at its end; nothing for short ones', async () => {
  const screen = new Screen('lines', 80, 50);
  await screen.progress.step('short', () => Promise.resolve());
  await screen.progress.step('long', async () => void (await screen.shows(/long/)));
  const failing = screen.progress.step('bad', async () => {
    await screen.shows(/bad/);
    throw new Error('no');
  });
  await assert.rejects(failing, /no/);
  assert.match(
    screen.text,
    /^long \.\.\.\nlong: done after \d\.\d s\nbad \.\.\.\nbad: failed after \d\.\d s\n$/,
  );
});

test('silent: nothing is written, the times are kept', async () => {
  const screen = new Screen('silent');
  const answer = await screen.progress.step('work', async () => {
    screen.progress.note('a line');
    await new Promise(resolve => setImmediate(resolve));
    return 42;
  });
  assert.equal(answer, 42);
  assert.equal(screen.text, '');
  const [step] = screen.progress.steps;
  assert.equal(step?.label, 'work');
  assert.ok(step.end !== undefined && step.end > step.begin);
});

test('a note stands above the live region, and terminal sequences in it do not reach the terminal', async () => {
  const screen = new Screen('live');
  await screen.progress.step('work', async () => {
    await screen.shows(/work/);
    screen.progress.note('using \x1b[2Jsnapshot');
    assert.deepEqual(screen.lines().slice(0, 1), ['using snapshot']);
    assert.match(screen.lines()[1] ?? '', /work/);
  });
  assert.doesNotMatch(screen.text, /\x1b\[2J/);
});

test('while a question is asked, nothing is drawn', async () => {
  const screen = new Screen('live');
  await screen.progress.step('work', async () => {
    await screen.shows(/work/);
    const before = await screen.progress.suspend(async () => {
      const text = screen.text;
      await new Promise(resolve => setTimeout(resolve, 250)); // two frames that must not come
      return text === screen.text;
    });
    assert.ok(before);
  });
});

test('formatSeconds() is as exact as a reader wants it', () => {
  assert.deepEqual([80, 2040, 59_900, 75_400, 725_000].map(formatSeconds), [
    '0.1 s',
    '2.0 s',
    '59.9 s',
    '75 s',
    '12 min 5 s',
  ]);
});
