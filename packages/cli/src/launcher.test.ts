import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

const bin = join(import.meta.dirname, '../bin/kstitch');

/** A machine whose `node` is older than anything kstitch runs on. */
function oldMachine(t: TestContext): { folder: string; env: NodeJS.ProcessEnv } {
  const folder = mkdtempSync(join(tmpdir(), 'kstitch-launcher-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'bin'));
  writeFileSync(join(folder, 'bin/node'), '#!/bin/sh\nexit 1\n');
  chmodSync(join(folder, 'bin/node'), 0o755);
  return { folder, env: { ...process.env, PATH: `${folder}/bin:/usr/bin:/bin` } };
}

test('the launcher starts under the Node.js of node_modules, also through a link as npm makes it', t => {
  const { folder, env } = oldMachine(t);
  symlinkSync(bin, join(folder, 'kstitch'));
  for (const path of [bin, join(folder, 'kstitch')]) {
    const { status, stdout, stderr } = spawnSync(path, ['--version'], { env, encoding: 'utf8', cwd: '/' });
    assert.deepEqual([status, stdout, stderr], [0, 'kstitch 0.1.0\n', '']);
  }
});

test('the launcher passes arguments as they are, and the exit status', () => {
  const { status, stdout } = spawnSync(bin, ['inspect', "a b'$x.ko", '--json'], { encoding: 'utf8' });
  assert.equal(status, 1);
  assert.equal(JSON.parse(stdout).error.message, "read livepatch 'a b'$x.ko': no such file or directory");
});

test('without any Node.js that is new enough the launcher says what to do', t => {
  const { folder, env } = oldMachine(t);
  mkdirSync(join(folder, 'cli/bin'), { recursive: true });
  cpSync(bin, join(folder, 'cli/bin/kstitch'));
  const { status, stderr } = spawnSync(join(folder, 'cli/bin/kstitch'), ['--version'], {
    env,
    encoding: 'utf8',
  });
  assert.equal(status, 1);
  assert.match(stderr, /^error\[node-too-old\]: .*\n {2}help: run 'npm ci'/);
});

/** `kstitch build -` waits for a patch on standard input: a run that can be interrupted and touches nothing. */
async function waitingForPatch(t: TestContext): Promise<ChildProcess> {
  const child = spawn(bin, ['build', '-', '--kernel', '6.1.0-1-amd64', '--debug'], { stdio: 'pipe' });
  t.after(() => child.kill('SIGKILL'));
  // More than the system holds between two processes: once it is written, the command reads, and so listens to signals.
  await new Promise(resolve => child.stdin?.write('-'.repeat(4 * 1024 * 1024), resolve));
  return child;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} ends the command with 130 and says so`, async t => {
    const child = await waitingForPatch(t);
    let words = '';
    child.stderr?.on('data', chunk => void (words += chunk));
    child.kill(signal);
    const [status] = await once(child, 'close');
    assert.equal(status, 130);
    assert.match(words, new RegExp(`interrupted\\[interrupted\\]: stopped by ${signal}\n`));
  });
}
