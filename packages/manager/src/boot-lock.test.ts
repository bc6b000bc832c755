/** The boot decides, guards and loads while nobody else changes what it has seen. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { withLock } from '@kstitch/host/lock';
import { silentContext } from '@kstitch/report/context';
import { missingCompiler } from '@kstitch/testkit/compile';
import { recordSyncs } from '@kstitch/testkit/record-syncs';
import { type BootResult, bootLivepatch } from './boot.ts';
import { boot, bootEvents, installedOn, loadable } from './fixture-boot.ts';
import { ext4Name, recordOf, standIn } from './fixture-machine.ts';
import { uninstallLivepatch } from './install.ts';
import { Installed } from './installed.ts';
import type { Manager } from './manager.ts';

const skip = missingCompiler;
const release = recordOf('ext4').kernel.release;

/** Boots while another kstitch has the lock, which makes `change` once the boot waits for it. */
async function bootDuring(manager: Manager, change: () => Promise<void>): Promise<BootResult> {
  const waits = new EventEmitter();
  const quiet = silentContext();
  const context = { ...quiet, progress: { ...quiet.progress, note: () => waits.emit('wait') } };
  let booted: Promise<BootResult> | undefined;
  await withLock(
    quiet,
    'livepatches',
    async () => {
      booted = bootLivepatch(context, manager);
      booted.catch(() => {});
      await once(waits, 'wait');
      await change();
    },
    manager.stateDirectory,
  );
  assert.ok(booted);
  return await booted;
}

test('what is uninstalled, switched off or guarded while it waits for another kstitch, it does not load', {
  skip,
}, async t => {
  const manager = await installedOn(t, 'bare');
  standIn(t, 'insmod', 'exit 99');
  const installed = new Installed(manager.stateDirectory);
  const off = join(manager.machine.root, 'etc/kstitch.off');
  const guard = { livepatch: ext4Name, boot: 'earlier', at: 'x' };
  await assert.rejects(
    bootDuring(manager, () => installed.writeGuard(release, guard)),
    { code: 'boot-guard-tripped' },
  );
  await installed.removeGuard(release);
  assert.deepEqual(await bootDuring(manager, () => installed.remove(release)), { result: 'nothing' });
  await installed.write(release, ext4Name);
  assert.equal((await bootDuring(manager, async () => writeFileSync(off, ''))).result, 'switched off');
  assert.deepEqual(bootEvents(manager), ['boot-guard-tripped', 'switched off']);
});

test('switched off while it waits for the module of an earlier try to go, it loads nothing', {
  skip,
}, async t => {
  const manager = await installedOn(t, 'bare', 'ext4', {
    'proc/modules': `${ext4Name} 16384 0 - Live 0x0 (OEK)\n`,
  });
  standIn(t, 'rmmod', `cd ${manager.machine.root} && : > proc/modules && : > etc/kstitch.off`);
  standIn(t, 'insmod', 'exit 99');
  assert.equal((await boot(manager)).result, 'switched off');
  const installed = new Installed(manager.stateDirectory);
  assert.equal(installed.readGuard(release), undefined);
  assert.deepEqual(bootEvents(manager), ['switched off']);
});

test('the guard comes last before insmod, and no uninstall in between takes it away', { skip }, async t => {
  const manager = await loadable(t, 'ls "${1%/livepatches/*}/installed" > "$1.seen"');
  const installed = new Installed(manager.stateDirectory);
  const quiet = silentContext();
  let uninstalled: Promise<unknown> | undefined;
  const step = async <T>(label: string, work: (update: () => void) => Promise<T>): Promise<T> => {
    if (label === 'preflight') {
      assert.equal(installed.readGuard(release), undefined);
      uninstalled = uninstallLivepatch(quiet, manager);
    }
    return await work(() => {});
  };
  await bootLivepatch({ ...quiet, progress: { step, note: () => {} } }, manager);
  await uninstalled;
  const seen = readFileSync(`${manager.store.modulePath(ext4Name)}.seen`, 'utf8');
  assert.deepEqual(seen.trimEnd().split('\n'), [`${release}.guard`, `${release}.json`]);
  assert.deepEqual([installed.read(release), installed.readGuard(release)], [undefined, undefined]);
});

test('the guard is on the disk with its name before insmod runs, and its removal after; so is the journal', {
  skip,
}, async t => {
  const manager = await loadable(t, 'cp syncs syncs.before');
  const log = join(manager.machine.root, 'syncs');
  await recordSyncs(t, (path, kind) => {
    const has = kind === 'folder' ? `: ${readdirSync(path).join(' ')}` : '';
    appendFileSync(log, `${basename(path)}${has}\n`);
  });
  await boot(manager);
  const before = readFileSync(`${log}.before`, 'utf8').trimEnd().split('\n');
  assert.ok(before.includes(`installed: ${release}.guard ${release}.json`));
  assert.ok(before.indexOf('journal') > before.findIndex(line => line.startsWith('installed: ')));
  const after = readFileSync(log, 'utf8').split('\n').slice(before.length);
  assert.ok(after.includes(`installed: ${release}.json`));
});
