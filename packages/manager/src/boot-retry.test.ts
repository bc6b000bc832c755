/** What the boot tries once more, and what status says when that does not come. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { missingCompiler } from '@kstitch/testkit/compile';
import { bootLivepatch } from './boot.ts';
import { boot, bootEvents, installedOn, tell } from './fixture-boot.ts';
import {
  type Edits,
  ext4Name,
  finishWhenReversed,
  keep,
  pipeName,
  recordOf,
  standIn,
} from './fixture-machine.ts';
import { type Action, beginAction } from './journal.ts';
import type { Manager } from './manager.ts';

const skip = missingCompiler;

/** The transition of `pipe` goes on, and is reversed in vain or not; rmmod and insmod do what `tools` say. */
async function blocked(
  t: TestContext,
  tools: Readonly<Record<'rmmod' | 'insmod', string>>,
  { edits, unload, signal }: { edits?: Edits; unload?: 'unsafe'; signal?: AbortSignal } = {},
) {
  const manager = await installedOn(t, 'enabling-task', 'pipe', edits);
  if (unload !== undefined) {
    const path = join(manager.store.directory, `${pipeName}.json`);
    const bundle = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...bundle, unload: { verdict: unload, reasons: ['x'] } }));
  }
  await keep(manager, recordOf('ext4', { patches: [] }));
  const { root } = manager.machine;
  cpSync(join(root, 'sys/kernel/livepatch', pipeName), join(root, 'away'), { recursive: true });
  for (const tool of ['rmmod', 'insmod'] as const) standIn(t, tool, `cd ${root}\n${tools[tool]}`);
  t.after(finishWhenReversed(manager.machine, pipeName, '0'));
  const booted = boot(manager, signal);
  booted.catch(() => {});
  while (bootEvents(manager).length === 0) await new Promise(resolve => setTimeout(resolve, 20));
  return { manager, booted };
}

test('a transition that does not end is tried once more, and then status is 12', { skip }, async t => {
  const { manager, booted } = await blocked(t, {
    rmmod: `sed -i '/^${pipeName} /d' proc/modules`,
    insmod: `cp -r away sys/kernel/livepatch/${pipeName} && echo '${pipeName} 1 1 - Live 0x0 (OEK)' >> proc/modules`,
  });
  const waiting = await tell(manager);
  assert.equal(waiting.health, 'installed but not active');
  assert.match(waiting.reasons[0] ?? '', /^it is tried once more at 20/);
  assert.match(waiting.reasons.join('\n'), /cat \(process 105\) in pipe_read\(\)/);
  assert.equal(waiting.guard, null);

  while (!existsSync(join(manager.machine.root, 'sys/kernel/livepatch', pipeName)))
    await new Promise(resolve => setTimeout(resolve, 20));
  assert.equal((await tell(manager)).guard?.state, 'set');
  t.after(finishWhenReversed(manager.machine, pipeName, '0'));
  await assert.rejects(booted, { code: 'load-timed-out', exitStatus: 5 });
  assert.deepEqual(bootEvents(manager), ['once more', 'load-timed-out']);
  const { health, reasons, guard } = await tell(manager);
  assert.deepEqual([health, guard], ['transition stuck', null]);
  assert.match(reasons[0] ?? '', /did not end within 1 s and was reversed$/);
});

test('so it is when the module of the first try may not be removed for the second', { skip }, async t => {
  const { manager, booted } = await blocked(t, { rmmod: 'echo "in use" >&2; exit 1', insmod: 'exit 99' });
  await assert.rejects(booted, { code: 'load-name-taken', exitStatus: 4 });
  assert.deepEqual(bootEvents(manager), ['once more', 'load-name-taken']);
  const { health, reasons } = await tell(manager);
  assert.deepEqual([health, reasons.at(-1)], ['transition stuck', 'in use']);
});

test('the second try asks again what is installed and whether it may', { skip }, async t => {
  const manager = await installedOn(t, 'bare', 'ext4', { 'proc/meminfo': 'MemAvailable: 1 kB\n' });
  const booted = boot(manager);
  while (bootEvents(manager).length === 0) await new Promise(resolve => setTimeout(resolve, 20));
  writeFileSync(join(manager.machine.root, 'etc/kstitch.off'), '');
  assert.equal((await booted).result, 'switched off');
});

test('retry = 0 tries once; a try that fails twice is told as it is', { skip }, async t => {
  const low = { 'proc/meminfo': 'MemAvailable: 1 kB\n' };
  const twice = await installedOn(t, 'bare', 'ext4', low);
  await assert.rejects(boot(twice), { code: 'load-memory-low', exitStatus: 4 });
  assert.deepEqual(bootEvents(twice), ['once more', 'load-memory-low']);
  const once = await installedOn(t, 'bare', 'ext4', { ...low, 'etc/kstitch.toml': 'boot.retry = 0' });
  await assert.rejects(boot(once), { code: 'load-memory-low' });
  assert.deepEqual(bootEvents(once), ['load-memory-low']);
  assert.equal((await tell(once)).health, 'installed but not active');
});

test('a configuration that gets a mistake while the first try fails costs no line of the journal', {
  skip,
}, async t => {
  const manager = await installedOn(t, 'bare', 'ext4', { 'proc/meminfo': 'MemAvailable: 1 kB\n' });
  const step = async <T>(label: string, work: (update: () => void) => Promise<T>): Promise<T> => {
    if (label === 'preflight') writeFileSync(join(manager.machine.root, 'etc/kstitch.toml'), 'x = 1\n');
    return await work(() => {});
  };
  await assert.rejects(bootLivepatch({ ...silentContext(), progress: { step, note: () => {} } }, manager), {
    code: 'config-malformed',
  });
  assert.deepEqual(bootEvents(manager), ['once more', 'config-malformed']);
});

const late = { 'etc/kstitch.toml': 'grace = 0\n[boot]\ntimeout = 1\nretry = 600\n' };
const interrupted = new KstitchError('interrupted', 'x');

/** Does not wait for ten minutes when a test fails. */
function stoppable(t: TestContext): AbortController {
  const controller = new AbortController();
  t.after(() => controller.abort(interrupted));
  return controller;
}

const noTools = { rmmod: 'exit 99', insmod: 'exit 99' };

test('stopped while it waits for the second try, it says so, and status is 12', { skip }, async t => {
  const controller = stoppable(t);
  const { manager, booted } = await blocked(t, noTools, { edits: late, signal: controller.signal });
  controller.abort(interrupted);
  await assert.rejects(booted);
  assert.deepEqual(bootEvents(manager), ['once more', 'interrupted']);
  const { health, reasons } = await tell(manager);
  assert.deepEqual([health, reasons[0]], ['transition stuck', 'it was stopped before its second try']);
  assert.match(reasons.join('\n'), /cat \(process 105\) in pipe_read\(\)/);
});

/** As if the boot had been killed meanwhile. */
function setUptime({ machine }: Manager, change: number): void {
  const path = join(machine.root, 'proc/uptime');
  writeFileSync(path, `${Number(readFileSync(path, 'utf8').split(' ')[0]) + change} 0.00\n`);
}

test('killed while it waits, status is 12 once the second try is long due, whatever the clock says', {
  skip,
}, async t => {
  const controller = stoppable(t);
  const { manager, booted } = await blocked(t, noTools, { edits: late, signal: controller.signal });
  setUptime(manager, 775);
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 86_400_000 });
  assert.equal((await tell(manager)).health, 'installed but not active');
  setUptime(manager, 10);
  const { health, reasons } = await tell(manager);
  assert.equal(health, 'transition stuck');
  assert.match(reasons[0] ?? '', /^it was to be tried once more at 20.*, and was not$/);
  beginAction(manager.journal, manager.kernel, 'load', pipeName, []);
  assert.equal((await tell(manager)).health, 'installed but not active');
  controller.abort(interrupted);
  await assert.rejects(booted);
});

for (const [what, health, ...lines] of [
  ['loaded and unloaded by hand', 'installed but not active', ['load', 'attested'], ['unload', 'removed']],
  [
    'uninstalled and installed anew',
    'installed but not active',
    ['uninstall', 'uninstalled'],
    ['install', 'installed'],
  ],
  ['loaded by hand, in vain too', 'transition stuck', ['load', 'reversed']],
] as const)
  for (const ended of ['once more', 'load-timed-out'])
    test(`after the boot ended with '${ended}' it is ${what}: ${health}`, { skip }, async t => {
      const manager = await installedOn(t, 'bare');
      const act = (action: Action, result: string, notes?: readonly string[]) =>
        beginAction(manager.journal, manager.kernel, action, ext4Name, []).end(result, notes);
      act('load', 'reversed');
      act('boot', ended, ['at 2026-01-01T00:00:00.000Z, 700 s after the kernel began']);
      setUptime(manager, 9000);
      assert.equal((await tell(manager)).health, 'transition stuck');
      for (const [action, result] of lines) act(action, result);
      const told = await tell(manager);
      assert.equal(told.health, health);
      const [action, result] = lines.at(-1) ?? [];
      assert.equal(told.reasons[0] === `since the boot: ${action} (${result})`, lines.length > 1);
    });

test('what never began is not called stuck when its second try does not come', { skip }, async t => {
  const manager = await installedOn(t, 'bare', 'ext4', { ...late, 'proc/meminfo': 'MemAvailable: 1 kB\n' });
  const controller = stoppable(t);
  const booted = boot(manager, controller.signal);
  booted.catch(() => {});
  while (bootEvents(manager).length === 0) await new Promise(resolve => setTimeout(resolve, 20));
  setUptime(manager, 800);
  const { health, reasons } = await tell(manager);
  assert.equal(health, 'installed but not active');
  assert.match(reasons[0] ?? '', /, and was not$/);
  controller.abort(interrupted);
  await assert.rejects(booted);
  assert.equal((await tell(manager)).health, 'installed but not active');
});

test('a livepatch that may not be removed has no second try, for its name stays taken', { skip }, async t => {
  const { manager, booted } = await blocked(t, noTools, { unload: 'unsafe' });
  await assert.rejects(booted, { code: 'load-timed-out' });
  assert.deepEqual(bootEvents(manager), ['load-timed-out']);
  assert.equal((await tell(manager)).health, 'transition stuck');
});

test('a name that was taken before the first try is no stuck transition', { skip }, async t => {
  const manager = await installedOn(t, 'bare', 'ext4', {
    'etc/kstitch.toml': 'grace = 0\nboot.retry = 0\n',
    'proc/modules': `${ext4Name} 16384 0 - Live 0x0 (OEK)\n`,
  });
  standIn(t, 'rmmod', 'echo "in use" >&2; exit 1');
  await assert.rejects(boot(manager), { code: 'load-name-taken' });
  assert.equal((await tell(manager)).health, 'installed but not active');
});
