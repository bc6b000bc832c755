import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { testKit } from '@kstitch/testkit/kit';
import { findAccelerator } from './accelerator.ts';
import { bootOnce } from './boot-once.ts';
import { readBusybox } from './busybox.ts';
import type { GuestKernel } from './guest-kernel.ts';
import { guestScript } from './initramfs.ts';
import type { Accelerator } from './qemu.ts';
import { type MachineRunOptions, runMachine } from './run-machine.ts';

const directory = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(directory, { recursive: true }));

let kernel: GuestKernel;
let accelerator: Accelerator;
before(async () => {
  const { kit } = await testKit();
  kernel = {
    release: kit.release,
    vmlinuzPath: kit.paths.vmlinuz,
    modulesDirectory: kit.paths.modulesDirectory,
  };
  accelerator = await findAccelerator(silentContext(), kernel.vmlinuzPath);
});

async function boot(main: string, options: Partial<MachineRunOptions> = {}) {
  return runMachine(silentContext(), {
    accelerator,
    vmlinuz: kernel.vmlinuzPath,
    initramfs: { busybox: await readBusybox(), modules: [], main, settings: {}, files: [] },
    disks: [],
    directory,
    name: 'a test',
    limitOf: () => 60,
    ...options,
  });
}

test('a run that ends, with one boot id and its log', async () => {
  const run = await boot(guestScript('probe.sh'));
  assert.deepEqual(run.ending, { kind: 'finished' });
  assert.deepEqual(
    run.frames.map(({ kind, name }) => `${kind} ${name}`.trim()),
    ['step init', 'step finish', 'done'],
  );
  assert.match(run.log, /^\[ +0\.000000\] Linux version 6\.1\.0-55-cloud-amd64 /);
  assert.deepEqual(run.splats, []);
});

test('nothing that is said is lost when processes end meanwhile', async () => {
  const { frames } = await boot(`
child=0; while [ $child -lt 400 ]; do usleep $((child * 5000)) & child=$((child + 1)); done
number=0; while [ $number -lt 6000 ]; do emit "number $number"; number=$((number + 1)); done
finish
`);
  const numbers = frames.flatMap(({ kind, name }) => (kind === 'number' ? [Number(name)] : []));
  assert.deepEqual(
    numbers,
    Array.from({ length: 6000 }, (_, number) => number),
  );
});

test('a kernel that crashes, a machine that restarts, a step that hangs', async () => {
  const [crashed, restarted, hung] = await Promise.all([
    boot('step a\necho c >/proc/sysrq-trigger\n', { name: 'crash' }),
    boot('step b\nreboot -f -n\n', { name: 'restart' }),
    boot('step c\nwhile :; do sleep 1; done\n', { name: 'hang', limitOf: step => (step === 'c' ? 2 : 60) }),
  ]);
  assert.equal(crashed.ending.kind, 'crashed');
  assert.equal(crashed.splats[0]?.step, 'a');
  assert.deepEqual(restarted.ending, { kind: 'restarted' });
  assert.deepEqual(hung.ending, { kind: 'hung', limitSeconds: 2 });
});

test('a kernel without a first program crashes, and its log is kept', async () => {
  const logPath = join(directory, 'no-init.log');
  await assert.rejects(
    boot('', { commandLine: ['rdinit=/nothing', 'init=/nothing', 'root=none'], logPath }),
    error => {
      assert.ok(error instanceof KstitchError && error.code === 'vm-boot-failed');
      assert.match(
        error.message,
        /the kernel crashed \(Kernel panic - not syncing: .*first program was not reached/,
      );
      return true;
    },
  );
  assert.match(readFileSync(logPath, 'utf8'), /Kernel panic/);
});

test('a kernel that says nothing is not waited for', async () => {
  await assert.rejects(
    boot('', { bootLimit: 0.2 }),
    isError('vm-boot-failed', /it took more than 0\.2 s, its first program was not reached/),
  );
});

test('QEMU that fails is no kernel that crashes', async () => {
  const vmlinuz = join(directory, 'text');
  writeFileSync(vmlinuz, 'not a kernel\n');
  await assert.rejects(boot('', { vmlinuz }), isError('vm-qemu-died', /QEMU ended with status 1/));
});

test('a disk that does not appear is said by the guest', async () => {
  const disk = join(directory, 'disk');
  writeFileSync(disk, Buffer.alloc(1 << 20));
  // Without the driver's modules.
  await assert.rejects(
    boot('', { disks: [{ path: disk, writes: 'discard' }] }),
    isError('vm-guest-unusable', /the disk '\/dev\/vda' did not appear/),
  );
});

test('a script: its status, its output of several MiB, its files', async () => {
  const messages: string[] = [];
  const result = await bootOnce(silentContext(), {
    accelerator,
    kernel,
    files: [{ path: '/data/greeting', bytes: Buffer.from('hello\n') }],
    script: 'cat /data/greeting >&2\ncat /proc/kallsyms\nexit 3\n',
    timeoutSeconds: 60,
    onMessage: line => messages.push(line),
  });
  assert.equal(result.status, 3);
  assert.ok(result.output.length > 3_000_000, `${result.output.length} bytes`);
  const text = Buffer.from(result.output).toString();
  assert.match(text, / T vfs_read\n/);
  assert.ok(text.endsWith('\n'), 'cut off');
  assert.match(result.log, /^guest> hello$/m);
  assert.ok(messages.includes('hello'), messages.join('\n'));
});

test('a script that does not end, or takes the kernel with it', async () => {
  const once = (script: string) =>
    bootOnce(silentContext(), { accelerator, kernel, script, timeoutSeconds: 3 });
  await Promise.all([
    assert.rejects(once('sleep 100\n'), isError('vm-script-failed', /it took more than 3 s at step script/)),
    assert.rejects(once('echo c >/proc/sysrq-trigger\n'), isError('vm-script-failed', /the kernel crashed/)),
  ]);
});

function isError(code: KstitchError['code'], text: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof KstitchError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  };
}
