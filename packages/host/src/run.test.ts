import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KstitchError } from '@kstitch/report/error';
import { withTemporaryDirectory } from './files.ts';
import { run, runForBytes } from './run.ts';

const code = (expected: string) => (error: unknown) =>
  error instanceof KstitchError && error.code === expected;

test('gives stdout, stderr and status', async () => {
  assert.deepEqual(
    await run('sh', ['-c', 'cat; echo said >&2; exit 3'], { input: 'given', allowStatus: [3] }),
    {
      stdout: 'given',
      stderr: 'said\n',
      status: 3,
    },
  );
});

test('bytes come back unchanged', async () => {
  const input = Uint8Array.from({ length: 100_000 }, (_, i) => i % 256);
  assert.ok(Buffer.from((await runForBytes('cat', [], { input })).stdout).equals(input));
});

test('hands on lines as they come, the last one without a line break too', async () => {
  const lines: string[] = [];
  await run('printf', ['one\\ntwo\\nthree'], { onLine: line => lines.push(line) });
  assert.deepEqual(lines, ['one', 'two', 'three']);
});

test("a failure carries the tool's last words", async () => {
  const failed = run('sh', ['-c', 'echo first; echo last words >&2; exit 7']);
  await assert.rejects(failed, error => {
    assert.ok(error instanceof KstitchError);
    assert.equal(error.code, 'host-tool-failed');
    assert.match(error.message, /status 7/);
    assert.deepEqual(error.notes, ['last words']);
    return true;
  });
});

test('a program that is not there is named with the package that brings it', async () => {
  await assert.rejects(run('kstitch-no-such-program', []), error => {
    assert.ok(error instanceof KstitchError);
    assert.equal(error.code, 'host-tool-missing');
    assert.match(error.message, /'kstitch-no-such-program': the program is not installed/);
    return true;
  });
  await assert.rejects(run('/nonexistent/bison', []), error => {
    assert.ok(error instanceof KstitchError);
    assert.match(error.help, /apt-get install bison/);
    return true;
  });
});

test('a folder that is not there is not taken for a missing program', async () => {
  await assert.rejects(run('true', [], { cwd: '/nonexistent' }), code('host-file-failed'));
});

test('too much output ends the program', async () => {
  await assert.rejects(run('cat', ['/dev/zero'], { maxOutput: 1000 }), code('host-tool-output'));
});

test('a full disk has its own code', async () => {
  await assert.rejects(run('cp', ['/proc/self/stat', '/dev/full']), code('host-disk-full'));
});

test('an interrupt ends the program and what it started', async () => {
  const stop = new AbortController();
  const seen: string[] = [];
  const running = run('sh', ['-c', 'sleep 1000 & echo $!; sleep 1001'], {
    signal: stop.signal,
    onLine: line => {
      seen.push(line);
      stop.abort();
    },
  });
  await assert.rejects(running, code('interrupted'));
  assert.ok(await hasEnded(Number(seen[0])));
  await assert.rejects(run('true', [], { signal: stop.signal }), code('interrupted'));
});

test('a program ends with the process that started it, even when that is killed', async () => {
  await withTemporaryDirectory('run-test', async directory => {
    const pidFile = join(directory, 'pid');
    const script = `import { run } from ${JSON.stringify(import.meta.resolve('./run.ts'))};
      await run('sh', ['-c', 'echo $$ > ${pidFile}; kill -9 $KSTITCH_PARENT; exec sleep 1000'], { env: { KSTITCH_PARENT: String(process.pid) } });`;
    await run(process.execPath, ['--input-type=module', '-e', script], { allowStatus: [137] }).catch(
      () => {},
    );
    assert.ok(await hasEnded(Number(await readFile(pidFile, 'utf8'))));
  });
});

/** Waits up to five seconds for a process to be gone; a zombie that nobody reaps has ended, too. */
async function hasEnded(pid: number): Promise<boolean> {
  assert.ok(pid > 1);
  for (let tries = 0; tries < 100; tries++) {
    const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    if (status === '' || /\) Z /.test(status)) return true;
    await sleep(50);
  }
  return false;
}
