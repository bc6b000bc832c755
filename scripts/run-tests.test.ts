import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

/** Runs test files of these contents as `npm run test:unit` would, in a process of its own: node's runner does not nest. */
function runFiles(contents: Readonly<Record<string, string>>, ...options: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'kstitch-run-tests-'));
  try {
    const files = Object.entries(contents).map(([name, text]) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    });
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const words = [join(import.meta.dirname, 'test.ts'), ...files, ...options];
    const { status, stdout, stderr } = spawnSync(process.execPath, words, { env, encoding: 'utf8' });
    assert.equal(stderr, '');
    const lines = stdout
      .replaceAll(/\S*kstitch-run-tests-\w+\//g, '')
      .trimEnd()
      .split('\n');
    return { status, totals: lines.at(-1), printed: lines.join('\n') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('passed, failed and skipped tests are counted, failures shown with their error, skips with their reason', () => {
  const { status, totals, printed } = runFiles({
    'a.test.mjs': `
      import { describe, it, test } from 'node:test';
      import assert from 'node:assert/strict';
      test('fine', () => {});
      test('not here', { skip: 'no qemu' }, () => {});
      test('later', t => t.skip());
      describe('suite', () => {
        it('inner fine', () => {});
        it('inner wrong', () => assert.equal(1, 2));
      });`,
    'b.test.mjs': `throw new Error('cannot even start');`,
    'c.test.mjs': `export const nothing = 1;`,
  });
  assert.equal(status, 1);
  assert.equal(totals, '2 passed, 3 failed, 2 skipped');
  assert.match(printed, /^skipped: a\.test\.mjs:5: not here: no qemu$/m);
  assert.match(printed, /^skipped: a\.test\.mjs:6: later: no reason given$/m);
  assert.match(
    printed,
    /^FAILED: a\.test\.mjs:9: suite › inner wrong\n {2}AssertionError.*\n {2}\n {2}1 !== 2$/m,
  );
  assert.match(printed, /^FAILED: b\.test\.mjs\n(?: {2}.*\n)* {2}Error: cannot even start$/m);
  assert.match(printed, /^FAILED: c\.test\.mjs\n {2}the file has no tests$/m);
  assert.match(printed, /^unit tests: 2 passed, 3 failed, 2 skipped, 3 files in \d+\.\d s$/m);
});

test('a filter runs the tests of that name', () => {
  const text = `import { test } from 'node:test'; test('one', () => {}); test('two', () => { throw 1; });`;
  const { status, totals } = runFiles({ 'a.test.mjs': text }, '--filter', 'one');
  assert.deepEqual([status, totals], [0, '1 passed, 0 failed, 0 skipped']);
});

test('nothing run is no success', () => {
  const { status, totals } = runFiles({}, 'no-such-test');
  assert.deepEqual([status, totals], [1, '0 passed, 0 failed, 0 skipped']);
});

test('a file that does not end is killed with all that it started, named, and has failed; the others count', t => {
  const note = join(mkdtempSync(join(tmpdir(), 'kstitch-run-tests-')), 'pid');
  t.after(() => rmSync(dirname(note), { recursive: true }));
  const { status, totals, printed } = runFiles(
    {
      'loops.test.mjs': `
        import { test } from 'node:test'; import { spawn } from 'node:child_process'; import { writeFileSync } from 'node:fs';
        test('loops', () => { writeFileSync('${note}', String(spawn('sleep', ['300']).pid)); for (;;); });`,
      'open.test.mjs': `import { test } from 'node:test'; test('fine', () => {}); setInterval(() => {}, 9);`,
      'fine.test.mjs': `import { test } from 'node:test'; test('fine', () => {});`,
    },
    '--seconds',
    '2',
  );
  assert.equal(status, 1);
  assert.equal(totals, '2 passed, 2 failed, 0 skipped');
  assert.match(printed, /^killed, for it did not end within 2 s: loops\.test\.mjs/m);
  assert.match(printed, /^FAILED: loops\.test\.mjs/m);
  assert.match(printed, /^FAILED: open\.test\.mjs/m);
  assert.equal(isRunning(readFileSync(note, 'utf8')), false);
});

test('a limit that is no number is refused', () => {
  const runner = join(import.meta.dirname, 'test.ts');
  const { status, stderr } = spawnSync(process.execPath, [runner, 'no-such-test', '--seconds', 'soon'], {
    encoding: 'utf8',
  });
  assert.deepEqual([status, stderr.trim()], [64, "--seconds takes a number, not 'soon'"]);
});

/** A process that nobody has waited for yet is dead all the same. */
function isRunning(pid: string): boolean {
  const path = `/proc/${pid}/stat`;
  return existsSync(path) && !/\) Z /.test(readFileSync(path, 'latin1'));
}
