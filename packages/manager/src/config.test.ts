import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Diagnostic } from '@kstitch/report/diagnostic';
import { configPath, defaults, readConfig, readConfigIfPossible } from './config.ts';
import { recorded } from './fixture-machine.ts';

function read(t: TestContext, text: string | undefined) {
  return readConfig(recorded(t, 'bare', { [configPath.slice(1)]: text }));
}

async function refusal(t: TestContext, text: string): Promise<string> {
  const error = await read(t, text).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error && 'code' in error);
  assert.equal(error.code, 'config-malformed');
  return error.message.replace(`read '${configPath}': `, '');
}

test('without a file, and for keys that are not in it, the defaults are used', async t => {
  assert.deepEqual(await read(t, undefined), defaults);
  assert.deepEqual(await read(t, ''), defaults);
  assert.deepEqual(await read(t, 'grace = 5\nboot.retry = 0\n'), {
    grace: 5,
    boot: { ...defaults.boot, retry: 0 },
  });
});

test('the file that is handed out shows the defaults', async t => {
  const text = readFileSync(join(import.meta.dirname, '../system/kstitch.toml'), 'utf8');
  assert.deepEqual(await read(t, text), defaults);
  const shown = text.replace(/^#(\w+ = )/gm, '$1');
  assert.deepEqual(await read(t, shown), defaults);
  assert.equal(shown.match(/^\w+ = /gm)?.length, 4);
});

test('what is not known is refused with its line', async t => {
  assert.equal(
    await refusal(t, '# x\ngrace = 5\n\n[boot]\n# y\ntimeuot = 5\nretry = 1\n'),
    "line 6: 'boot.timeuot' is no setting; there are grace, boot.timeout, boot.retry, boot.settled",
  );
  assert.match(await refusal(t, 'grace = 5\n[bot]\ntimeout = 5\n'), /^line 2: 'bot' is no setting/);
  assert.match(await refusal(t, 'boot = 5'), /^line 1: 'boot' is no setting/);
  assert.match(await refusal(t, 'grace = 5\nx = """\n\n"""\n'), /^line 4: 'x' is no setting/);
  assert.match(await refusal(t, 'constructor = 5\n'), /^line 1: 'constructor' is no setting/);
});

test('a value that cannot be is refused with its line', async t => {
  const range = "line 3: 'boot.settled' must be a whole number of seconds from 1 to 86400";
  for (const value of ['0', '-1', '1.5', '"60"', '86401', 'true', '[60]', '{}'])
    assert.equal(await refusal(t, `[boot]\n# x\nsettled = ${value}\n`), range, value);
});

test('what is no TOML is refused with its line', async t => {
  assert.match(await refusal(t, '[boot]\ntimeout = \n'), /^line 2: \S/);
  assert.match(await refusal(t, 'grace = 1\ngrace = 2\n'), /^line 2: \S/);
});

test('a file that is longer than anybody writes one is not read', async t => {
  await assert.rejects(read(t, '#'.repeat(16 * 1024 + 1)), { code: 'machine-unreadable' });
});

test('a mistake keeps nobody from taking a livepatch out: it is told, and the defaults are used', async t => {
  const diagnostics: Diagnostic[] = [];
  const of = (text: string) =>
    readConfigIfPossible(recorded(t, 'bare', { [configPath.slice(1)]: text }), diagnostics);
  assert.equal((await of('grace = 5\n')).grace, 5);
  assert.equal(diagnostics.length, 0);
  assert.deepEqual(await of('grace = 5\nx = 1\n'), defaults);
  assert.deepEqual(
    diagnostics.map(({ code, severity }) => [code, severity]),
    [['config-ignored', 'caution']],
  );
  assert.match(diagnostics[0]?.text ?? '', /: line 2: 'x' is no setting; .*; the defaults are used$/);
});
