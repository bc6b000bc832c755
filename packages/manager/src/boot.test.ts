import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { missingCompiler } from '@kstitch/testkit/compile';
import { boot, bootEvents, installedOn, loadable, nextBoot, tell } from './fixture-boot.ts';
import { ext4Name, moduleFor, pipeName, recordedManager, recordOf, standIn } from './fixture-machine.ts';
import { installLivepatch } from './install.ts';
import { Installed } from './installed.ts';

const skip = missingCompiler;
const release = recordOf('ext4').kernel.release;

test('where nothing is installed for this kernel, nothing is done', async t => {
  const manager = recordedManager(t, 'bare');
  await new Installed(manager.stateDirectory).write('6.1.0-99-amd64', 'kstitch_x');
  assert.deepEqual(await boot(manager), { result: 'nothing' });
  assert.equal(existsSync(manager.journal.path), false);
  const { health, installed, others } = await tell(manager);
  assert.deepEqual(
    [health, installed, others.map(({ kernel, livepatch }) => [kernel, livepatch])],
    ['well', null, [['6.1.0-99-amd64', 'kstitch_x']]],
  );
});

test('before it was loaded, status says that it is installed and not active', { skip }, async t => {
  const { health, installed, active, reasons } = await tell(await installedOn(t, 'bare'));
  assert.deepEqual(
    [health, installed?.livepatch, active, reasons],
    ['installed but not active', ext4Name, false, ['it was not loaded in this boot']],
  );
});

test('the guard is on the disk when the kernel is handed the module, and until it has settled', {
  skip,
}, async t => {
  const manager = await loadable(t, 'ls "${1%/livepatches/*}/installed" > "$1.seen"');
  const installed = new Installed(manager.stateDirectory);
  const began = performance.now();
  const booted = boot(manager);
  const folder = join(manager.machine.root, 'sys/kernel/livepatch', ext4Name);
  while (!existsSync(folder)) await new Promise(resolve => setTimeout(resolve, 5));
  const seen = readFileSync(`${manager.store.modulePath(ext4Name)}.seen`, 'utf8');
  assert.deepEqual(seen.trimEnd().split('\n'), [`${release}.guard`, `${release}.json`]);
  const set = await tell(manager);
  assert.deepEqual([set.guard?.state, set.guard?.livepatch], ['set', ext4Name]);
  const { result, load } = await booted;
  assert.deepEqual([result, load?.attestation?.verdict], ['settled', 'attested']);
  assert.ok(performance.now() - began >= 1000);
  assert.equal(installed.readGuard(release), undefined);
  assert.deepEqual(bootEvents(manager), ['settled']);
  const { health, active, reasons } = await tell(manager);
  assert.deepEqual([health, active, reasons], ['well', true, []]);
});

test('a boot after one that ended with the guard set leaves it out, until it is armed again', {
  skip,
}, async t => {
  const manager = await installedOn(t, 'bare');
  const { bootId } = manager.kernel;
  const at = '2026-11-24T03:00:00.000Z';
  await new Installed(manager.stateDirectory).writeGuard(release, { livepatch: ext4Name, boot: bootId, at });
  const next = nextBoot(t, manager, 'bare');
  standIn(t, 'insmod', 'exit 99');
  await assert.rejects(boot(next), { code: 'boot-guard-tripped', exitStatus: 2 });
  const { health, reasons, guard } = await tell(next);
  assert.deepEqual(
    [health, reasons, guard?.state],
    ['guard tripped', [`left out: the boot that loaded it, ${at}, ended before it had settled`], 'tripped'],
  );
  assert.deepEqual(bootEvents(next), ['boot-guard-tripped']);

  // It stays so over any number of boots, and is told also while it is loaded by hand.
  const third = nextBoot(t, next, 'active', { 'proc/sys/kernel/random/boot_id': 'a third\n' });
  await assert.rejects(boot(third), { code: 'boot-guard-tripped' });
  assert.deepEqual([(await tell(third)).health, (await tell(third)).active], ['guard tripped', true]);

  const { module, bundle } = moduleFor(recordOf('ext4'));
  const files = { module, record: JSON.stringify(bundle) };
  await installLivepatch(silentContext(), third, { files, what: 'x.json', replace: false });
  assert.equal((await tell(third)).health, 'well');
});

test('the guard of another livepatch keeps nothing out, a damaged one everything', { skip }, async t => {
  const manager = await loadable(t);
  const installed = new Installed(manager.stateDirectory);
  for (const text of ['{', ' '.repeat(200_000)]) {
    writeFileSync(join(installed.directory, `${release}.guard`), text);
    await assert.rejects(boot(manager), { code: 'boot-guard-tripped' });
    assert.deepEqual((await tell(manager)).reasons, ['left out: the guard of an earlier boot is damaged']);
  }
  await installed.writeGuard(release, { livepatch: pipeName, boot: 'earlier', at: 'x' });
  assert.equal((await tell(manager)).guard, null);
  assert.equal((await boot(manager)).result, 'settled');
  assert.equal(installed.readGuard(release), undefined);
});

test('killed while it settles, the same boot may settle it, and another leaves it out', { skip }, async t => {
  const manager = await loadable(t);
  const { bootId } = manager.kernel;
  const guard = { livepatch: ext4Name, boot: bootId, at: 'x' };
  await new Installed(manager.stateDirectory).writeGuard(release, guard);
  assert.equal((await boot(manager)).result, 'settled');
  assert.equal((await tell(manager)).guard, null);
});

test('what another boot command of this boot loaded keeps its guard when this one is stopped', {
  skip,
}, async t => {
  const manager = await installedOn(t, 'active', 'ext4', { 'etc/kstitch.toml': '[boot]\nsettled = 30\n' });
  const set = { livepatch: ext4Name, boot: manager.kernel.bootId, at: 'x' };
  const installed = new Installed(manager.stateDirectory);
  await installed.writeGuard(release, set);
  const controller = new AbortController();
  setTimeout(() => controller.abort(new KstitchError('interrupted', 'x')), 300);
  await assert.rejects(boot(manager, controller.signal), { name: 'AbortError' });
  assert.deepEqual(installed.readGuard(release), set);
});

test('one that finds it in force and cannot attest it leaves the guard to whoever set it', {
  skip,
}, async t => {
  const manager = await installedOn(t, 'active', 'ext4', { 'sys/kernel/tracing/enabled_functions': '' });
  const set = { livepatch: ext4Name, boot: manager.kernel.bootId, at: 'x' };
  const installed = new Installed(manager.stateDirectory);
  await installed.writeGuard(release, set);
  await assert.rejects(boot(manager), { code: 'load-not-in-force' });
  assert.deepEqual(installed.readGuard(release), set);
});

test('the oops that another boot command of this boot has found keeps the guard', { skip }, async t => {
  const manager = await installedOn(t, 'active');
  const set = { livepatch: ext4Name, boot: manager.kernel.bootId, at: 'x' };
  const installed = new Installed(manager.stateDirectory);
  await installed.writeGuard(release, set);
  const booted = boot(manager);
  await new Promise(resolve => setTimeout(resolve, 500));
  await installed.writeGuard(release, { ...set, reason: 'an oops' });
  await booted;
  assert.equal(installed.readGuard(release)?.reason, 'an oops');
});

test('stopped in good order before it has settled, the guard goes', { skip }, async t => {
  const manager = await loadable(t, '', { 'etc/kstitch.toml': '' });
  const controller = new AbortController();
  const booted = boot(manager, controller.signal);
  const folder = join(manager.machine.root, 'sys/kernel/livepatch');
  while (readdirSync(folder).length === 0) await new Promise(resolve => setTimeout(resolve, 5));
  setTimeout(() => controller.abort(new KstitchError('interrupted', 'x')), 300);
  await assert.rejects(booted);
  assert.equal((await tell(manager)).guard, null);
  assert.deepEqual(bootEvents(manager), ['interrupted']);
});

/** As it is before the load, and as insmod leaves it; undefined: this kernel does not count. */
interface OopsCase {
  readonly tainted: readonly [before: number, after: number];
  readonly count?: readonly [before: number, after: number];
}

async function withOops(t: TestContext, { tainted, count }: OopsCase) {
  const edits = {
    'proc/sys/kernel/tainted': `${tainted[0]}\n`,
    ...(count === undefined ? {} : { 'sys/kernel/oops_count': `${count[0]}\n` }),
  };
  const after = count === undefined ? '' : `echo ${count[1]} > sys/kernel/oops_count`;
  return await loadable(t, `echo ${tainted[1]} > proc/sys/kernel/tainted\n${after}`, edits);
}

test('an oops while it settles leaves it out of the next boot, though the kernel lives on', {
  skip,
}, async t => {
  const cases: OopsCase[] = [
    { tainted: [4096, 4224] },
    { tainted: [4096, 4224], count: [0, 1] },
    { tainted: [4224, 4224], count: [1, 2] },
  ];
  for (const one of cases) {
    const manager = await withOops(t, one);
    await assert.rejects(boot(manager), { code: 'boot-oops', exitStatus: 1 });
    assert.equal((await tell(manager)).health, 'guard tripped');
    const next = nextBoot(t, manager, 'bare');
    await assert.rejects(boot(next), { code: 'boot-guard-tripped' });
    assert.match((await tell(next)).reasons[0] ?? '', /: the kernel had an oops within 1 s of loading it$/);
  }
});

test('an oops before it is none of the livepatch where the kernel counts, and keeps the guard where not', {
  skip,
}, async t => {
  const counted = await withOops(t, { tainted: [4224, 4224], count: [1, 1] });
  assert.equal((await boot(counted)).result, 'settled');
  const uncounted = await withOops(t, { tainted: [4224, 4224] });
  await assert.rejects(boot(uncounted), { code: 'boot-oops' });
  const { health, guard } = await tell(uncounted);
  assert.equal(health, 'guard tripped');
  assert.match(
    guard?.reason ?? '',
    /had an oops before, so that nobody knows of one within 1 s of loading it$/,
  );
});

for (const [name, edits] of [
  ["the kernel argument 'kstitch=off'", { 'proc/cmdline': 'root=/dev/vda1 ro kstitch=off quiet\n' }],
  ["the file '/etc/kstitch.off'", { 'etc/kstitch.off': '' }],
] as const)
  test(`${name} keeps it out, and status says so`, { skip }, async t => {
    const manager = await installedOn(t, 'bare', 'ext4', edits);
    standIn(t, 'insmod', 'exit 99');
    assert.deepEqual((await tell(manager)).reasons, [`switched off: ${name}`]);
    assert.deepEqual(await boot(manager), { result: 'switched off', switchedOff: name });
    const { health, switchedOff, reasons } = await tell(manager);
    assert.deepEqual(
      [health, switchedOff, reasons],
      ['installed but not active', name, [`switched off when it booted: ${name}`]],
    );
  });

test('a word of the command line that only looks like it is none', { skip }, async t => {
  const manager = await loadable(t, '', { 'proc/cmdline': 'kstitch=offline x.kstitch=off kstitch=on\n' });
  assert.equal((await tell(manager)).switchedOff, null);
  assert.equal((await boot(manager)).result, 'settled');
});

test('what the preflight refuses is not tried again, and leaves no guard', { skip }, async t => {
  const manager = await installedOn(t, 'bare', 'ext4', { 'proc/sys/kernel/ftrace_enabled': '0\n' });
  await assert.rejects(boot(manager), { code: 'load-ftrace-off' });
  const { health, reasons, guard } = await tell(manager);
  assert.deepEqual(
    [health, reasons, guard],
    ['installed but not active', ["'kernel.ftrace_enabled' is 0: no function can be redirected"], null],
  );
});

test('a configuration with a mistake loads nothing, and status says which', { skip }, async t => {
  const manager = await installedOn(t, 'bare', 'ext4', { 'etc/kstitch.toml': 'x = 1\n' });
  await assert.rejects(boot(manager), { code: 'config-malformed', exitStatus: 1 });
  assert.match((await tell(manager)).reasons[0] ?? '', /line 1: 'x' is no setting/);
});

test('what is damaged in the store is left out: the entry, the module, the record', { skip }, async t => {
  const manager = await installedOn(t, 'bare');
  standIn(t, 'insmod', 'exit 99');
  const { store } = manager;
  const files = store.read(ext4Name);
  assert.ok(files);
  const damaged = async (name: string, bytes: string | undefined, code: string) => {
    const path = join(store.directory, name);
    if (bytes === undefined) rmSync(path);
    else writeFileSync(path, bytes);
    await assert.rejects(boot(manager), { code });
    const { health, guard } = await tell(manager);
    assert.deepEqual([health, guard], ['installed but not active', null], name);
    await store.keep(ext4Name, files);
  };
  await damaged(`${ext4Name}.ko`, undefined, 'install-damaged');
  await damaged(`${ext4Name}.ko`, 'x', 'load-module-changed');
  await damaged(`${ext4Name}.json`, undefined, 'install-damaged');
  await damaged(`${ext4Name}.json`, '{', 'install-damaged');
  await damaged(`${ext4Name}.json`, JSON.stringify(recordOf('pipe')), 'install-damaged');
  await damaged(join('../../installed', `${release}.json`), '{', 'install-damaged');
  const { reasons } = await tell(manager);
  assert.match(reasons.join(), /the file that names what is installed is damaged$/);
});

test('what was loaded at boot and taken out since is told so', { skip }, async t => {
  const manager = await loadable(t);
  await boot(manager);
  rmSync(join(manager.machine.root, 'sys/kernel/livepatch', ext4Name), { recursive: true });
  assert.deepEqual((await tell(manager)).reasons, ['it was loaded at boot, and taken out since']);
});
