import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diagnostic, Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { type CommonOptions, fields, runCommand, section, type Work } from './run-command.ts';
import { type FakeMachine, machine, stream } from './test-machine.ts';

async function run(
  work: Work,
  options: CommonOptions = {},
  on: FakeMachine = machine(),
): Promise<{ status: number; out: string; err: string }> {
  const status = await runCommand('kernel fetch', options, work, on);
  return { status, out: on.stdout.text, err: on.stderr.text };
}

const done: Work = context => {
  context.diagnostics.push({
    ...diagnostic('usage', { object: 'vmlinux' }, 'mind this'),
    severity: 'caution',
  });
  return Promise.resolve({ json: { answer: 42 }, text: () => 'the answer is 42\n' });
};

test('a result goes to standard output, findings to standard error', async () => {
  const { status, out, err } = await run(done);
  assert.equal(status, 0);
  assert.equal(out, 'the answer is 42\n');
  assert.match(err, /mind this\n {2}at vmlinux\n/);
});

test('--json: one object with schema, fields and diagnostics, and nothing on standard error', async () => {
  const { status, out, err } = await run(done, { json: true });
  const object = JSON.parse(out);
  assert.equal(status, 0);
  assert.equal(err, '');
  assert.deepEqual(Object.keys(object), ['schema', 'answer', 'diagnostics']);
  assert.equal(object.schema, 'kstitch/kernel-fetch/1');
  assert.equal(object.answer, 42);
  assert.equal(object.diagnostics[0].code, 'usage');
  assert.equal(object.diagnostics[0].severity, 'caution');
});

test('--json: what a terminal may take for a sequence is escaped', async () => {
  const { out } = await run(() => Promise.resolve({ json: { comm: 'a\x9b2J\x7f\x1b' }, text: () => '' }), {
    json: true,
  });
  assert.match(out, /"comm": "a\\u009b2J\\u007f\\u001b"/);
  assert.equal(JSON.parse(out).comm, 'a\x9b2J\x7f\x1b');
});

test('--json: an error is an object too, with its exit status', async () => {
  const failing: Work = () =>
    Promise.reject(new KstitchError('usage', 'no such thing', { notes: ['n'], help: 'h' }));
  const { status, out, err } = await run(failing, { json: true });
  assert.equal(status, 64);
  assert.equal(err, '');
  assert.deepEqual(JSON.parse(out), {
    schema: 'kstitch/kernel-fetch/1',
    error: { code: 'usage', message: 'no such thing', notes: ['n'], help: 'h', exitStatus: 64 },
    diagnostics: [],
  });
});

test('--json: the findings of a refusal stand in diagnostics, beside the cautions of the run', async () => {
  const refusing: Work = async context => {
    await done(context, {
      interactive: false,
      ask: () => Promise.resolve(false),
      confirmWith: () => Promise.resolve(false),
    });
    throw new Refusal([
      diagnostic('usage', { unit: 'a.c' }, 'one'),
      diagnostic('usage', { unit: 'b.c' }, 'two'),
    ]);
  };
  const object = JSON.parse((await run(refusing, { json: true })).out);
  assert.deepEqual(
    object.diagnostics.map((one: { text: string }) => one.text),
    ['one', 'two', 'mind this'],
  );
});

test('an outcome may carry a status of its own', async () => {
  const { status } = await run(() => Promise.resolve({ json: {}, text: () => '', status: 2 }));
  assert.equal(status, 2);
});

test('an exception that nobody foresaw is an internal error that says where, and how to report it', async () => {
  const broken: Work = () => Promise.reject(new TypeError('sections is not iterable'));
  const { status, err } = await run(broken);
  assert.equal(status, 1);
  assert.match(
    err,
    /^error\[internal-error\]: unexpected failure: sections is not iterable\n {2}note: at .*run-command\.test\.ts/,
  );
  assert.match(err, /help: this is a defect of kstitch: run the command again with --debug/);
  assert.doesNotMatch(err, /file:\/\/|note: at \//);
  assert.match((await run(broken, { debug: true })).err, /\[cause\]: TypeError: sections is not iterable/);
});

test('a signal aborts, waits for the clean-up and gives 130, whatever the stage makes of it', async () => {
  const on = machine();
  let cleaned = false;
  const { status, err } = await run(
    async context => {
      on.signal('SIGTERM');
      assert.ok(context.signal.aborted);
      await new Promise(resolve => setImmediate(resolve));
      cleaned = true;
      throw new Error('gcc was ended by SIGTERM');
    },
    {},
    on,
  );
  assert.ok(cleaned);
  assert.equal(status, 130);
  assert.deepEqual(on.exits, []);
  assert.match(err, /interrupted\[interrupted\]: stopped by SIGTERM\n/);
  assert.doesNotMatch(err, /gcc was ended/);
});

test('a second signal ends at once', async () => {
  const on = machine();
  await run(
    () => {
      on.signal('SIGINT');
      on.signal('SIGINT');
      return Promise.reject(new Error('x'));
    },
    {},
    on,
  );
  assert.deepEqual(on.exits, [130]);
});

test('a reader that went away is no error, a full disk is one', async () => {
  const gone = machine({ stdout: stream(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })) });
  assert.deepEqual(await run(done, { quiet: true }, gone).then(({ status }) => status), 0);
  const full = machine({
    stdout: stream(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })),
  });
  const { status, err } = await run(done, {}, full);
  assert.equal(status, 1);
  assert.match(
    err,
    /error\[output-failed\]: write the result to standard output: no space left on\n {2}device\n/,
  );
});

test('only an answer that begins with y is a yes, and scripts that want JSON are not asked', async () => {
  const asking: Work = async (_context, shell) => ({
    json: { yes: await shell.ask('Go on?'), interactive: shell.interactive },
    text: () => '',
  });
  for (const [answer, yes] of [
    ['y', true],
    ['Yes', true],
    ['', false],
    ['n', false],
    ['why', false],
  ] as const) {
    const { out } = await run(asking, { json: true }, machine({ answer }));
    assert.equal(JSON.parse(out).yes, yes, answer);
    assert.equal(JSON.parse(out).interactive, false);
  }
});

test('questions let no terminal sequence through', async () => {
  const asked: string[] = [];
  const here = machine({ answer: '' });
  here.readLine = question => {
    asked.push(question);
    return Promise.resolve('');
  };
  const asking: Work = async (_context, shell) => {
    await shell.ask('a\x1b[2Jb?');
    await shell.confirmWith('yes', 'c\x1b[2Jd?');
    return { json: {}, text: () => '' };
  };
  await run(asking, {}, here);
  assert.deepEqual(asked, ['ab? [y/N] ', "cd? [type 'yes'] "]);
});

test('--timing tells steps, shares, the time between them and the peak of memory', async () => {
  const work: Work = async context => {
    await context.progress.step('outer', () =>
      context.progress.step('inner', () => new Promise(resolve => setTimeout(resolve, 30))),
    );
    return { json: {}, text: () => '' };
  };
  const { timing } = JSON.parse((await run(work, { json: true, timing: true })).out);
  assert.deepEqual(
    timing.steps.map((step: { label: string; depth: number }) => [step.label, step.depth]),
    [
      ['outer', 0],
      ['inner', 1],
    ],
  );
  assert.ok(timing.steps[1].seconds >= 0.029 && timing.steps[1].seconds <= timing.totalSeconds);
  assert.ok(timing.betweenSeconds >= 0 && timing.betweenSeconds <= timing.totalSeconds - 0.029);
  assert.ok(timing.peakMemoryMiB > 20);
  const { err } = await run(work, { timing: true });
  assert.match(
    err,
    /step +seconds +share\nouter +0\.\d\d +\d+ %\n {2}inner +0\.\d\d +\d+ %\n\(no step\) .*\nall +0\.\d\d/,
  );
  assert.match(err, /kstitch itself: \d+\.\d\d s of processor time, \d+ MiB at its peak\n$/);
});

test('fields() and section() let no terminal sequence through', () => {
  const look = { columns: 80, colour: false, unicode: true };
  assert.equal(
    fields(look, [
      ['a', 'x\x1b[2J'],
      ['long', 'y'],
    ]),
    'a:    x\nlong: y\n',
  );
  assert.equal(section(look, 'title', ['x\x1b[2J']), 'title:\n  x\n');
  // A task's name stands in one, and whoever started the task chose it.
  assert.equal(section(look, 'c\x1b[2Jat\x07', ['x']), 'cat\\x07:\n  x\n');
  assert.equal(section(look, 'title', []), '');
});

test('a result is wrapped for a terminal and nowhere else', async () => {
  const words = Array.from({ length: 30 }, () => 'word').join(' ');
  const work: Work = () =>
    Promise.resolve({
      json: {},
      text: look => fields(look, [['key', words]]) + section(look, 'list', [words]),
    });
  assert.equal((await run(work)).out, `key: ${words}\nlist:\n  ${words}\n`);
  const terminal = machine({ stdout: { ...stream(), isTTY: true, columns: 50 } });
  const { out } = await run(work, {}, terminal);
  assert.ok(out.split('\n').every(line => line.length <= 50));
  assert.match(out, /^key: word.*\n {5}word/);
});

test('what cannot be taken back is confirmed with its very name', async () => {
  const confirming: Work = async (_context, shell) => {
    const yes = await shell.confirmWith('kstitch_a', 'Force it?');
    return { json: { yes }, text: () => String(yes) };
  };
  for (const [answer, yes] of [
    ['kstitch_a', 'true'],
    [' kstitch_a ', 'true'],
    ['kstitch', 'false'],
    ['y', 'false'],
    ['', 'false'],
  ] as const) {
    const { out } = await run(confirming, {}, machine({ answer }));
    assert.equal(out, yes, answer);
  }
});
