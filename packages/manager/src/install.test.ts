import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Bundle } from '@kstitch/livepatch/bundle';
import { silentContext } from '@kstitch/report/context';
import { missingCompiler } from '@kstitch/testkit/compile';
import {
  ext4Name,
  kthreaddName,
  moduleFor,
  pipeName,
  recordedManager,
  recordOf,
  temporary,
} from './fixture-machine.ts';
import { type InstallRequest, installLivepatch, uninstallLivepatch } from './install.ts';
import { Installed } from './installed.ts';
import { beginAction } from './journal.ts';
import { type Manager, openManager } from './manager.ts';
import { Store } from './store.ts';

const skip = missingCompiler;
const release = recordOf('ext4').kernel.release;

function requestFor(given: Bundle, replace = false): InstallRequest {
  const { module, bundle } = moduleFor(given);
  return { files: { module, record: JSON.stringify(bundle) }, what: 'x.json', replace };
}

function install(manager: Manager, given: Bundle, replace = false, context = silentContext()) {
  return installLivepatch(context, manager, requestFor(given, replace));
}

function forOtherKernel(bundle: Bundle): Bundle {
  return { ...bundle, kernel: { ...bundle.kernel, release: '6.1.0-99-amd64' } };
}

function journalOf({ journal }: Manager): string[] {
  return journal
    .read()
    .entries.map(({ kernel, action, livepatch, phase, result, notes }) =>
      [kernel, action, livepatch, phase, result, ...(notes ?? [])]
        .filter(word => word !== undefined)
        .join(' '),
    );
}

test('what is installed lies in the store and is named for its kernel, and the journal says so', {
  skip,
}, async t => {
  const manager = recordedManager(t, 'bare');
  assert.deepEqual(await install(manager, recordOf('ext4')), {
    livepatch: ext4Name,
    kernel: release,
    replaced: undefined,
    armed: false,
    active: false,
  });
  const [entry] = new Installed(manager.stateDirectory).list();
  assert.deepEqual([entry?.kernel, entry?.livepatch], [release, ext4Name]);
  assert.equal((await manager.store.bundle(ext4Name))?.module, ext4Name);
  assert.deepEqual(journalOf(manager), [
    `${release} install ${ext4Name} begin`,
    `${release} install ${ext4Name} end installed`,
  ]);
});

test('each kernel has one of its own, also one that does not run', { skip }, async t => {
  const manager = recordedManager(t, 'active');
  assert.equal((await install(manager, recordOf('ext4'))).active, true);
  const other = await install(manager, forOtherKernel(recordOf('pipe')));
  assert.deepEqual([other.kernel, other.replaced, other.active], ['6.1.0-99-amd64', undefined, false]);
  const installed = new Installed(manager.stateDirectory);
  assert.deepEqual(
    installed.list().map(({ kernel, livepatch }) => [kernel, livepatch]),
    [
      [release, ext4Name],
      ['6.1.0-99-amd64', pipeName],
    ],
  );
});

test('another one is replaced only when that is asked for, and what is lost is said', { skip }, async t => {
  const manager = recordedManager(t, 'bare');
  await install(manager, recordOf('ext4'));
  await assert.rejects(install(manager, recordOf('pipe')), { code: 'install-taken', exitStatus: 2 });
  const installed = new Installed(manager.stateDirectory);
  assert.equal(installed.read(release)?.livepatch, ext4Name);

  const context = silentContext();
  const { replaced } = await install(manager, recordOf('pipe'), true, context);
  assert.equal(replaced, ext4Name);
  assert.equal(installed.read(release)?.livepatch, pipeName);
  assert.deepEqual(
    context.diagnostics.map(({ code, text }) => [code, text]),
    [['install-drops-patch', `'${pipeName}' lacks what '${ext4Name}' mends: 'ext4.patch'`]],
  );
  assert.equal(
    journalOf(manager).at(-1),
    `${release} install ${pipeName} end installed in place of ${ext4Name}`,
  );

  // One that holds all of it goes without a word.
  const both = { ...recordOf('kthreadd'), patches: recordOf('pipe').patches };
  const silent = silentContext();
  await install(manager, both, true, silent);
  assert.deepEqual(silent.diagnostics, []);
  assert.equal(installed.read(release)?.livepatch, kthreaddName);
});

test('what does not belong together, or to the running build of that release, is not installed', {
  skip,
}, async t => {
  const manager = recordedManager(t, 'bare');
  const { files, ...rest } = requestFor(recordOf('ext4'));
  const record = JSON.stringify(recordOf('ext4'));
  await assert.rejects(installLivepatch(silentContext(), manager, { ...rest, files: { ...files, record } }), {
    code: 'load-module-changed',
  });
  const rebuilt = { ...recordOf('ext4').kernel, buildId: '00' };
  await assert.rejects(install(manager, recordOf('ext4', { kernel: rebuilt })), {
    code: 'load-other-kernel',
  });
  const outside = { ...recordOf('ext4').kernel, release: '../../../etc' };
  await assert.rejects(install(manager, recordOf('ext4', { kernel: outside })), { code: 'bundle-malformed' });
  assert.deepEqual(new Installed(manager.stateDirectory).list(), []);
  assert.deepEqual(journalOf(manager), []);
});

test('installing it again arms it again, and leaves the guard of a load that goes on', { skip }, async t => {
  const manager = recordedManager(t, 'bare');
  const installed = new Installed(manager.stateDirectory);
  await install(manager, recordOf('ext4'));
  await installed.writeGuard(release, { livepatch: ext4Name, boot: 'earlier', at: 'x' });
  assert.deepEqual(
    [(await install(manager, recordOf('ext4'))).armed, installed.readGuard(release)],
    [true, undefined],
  );
  assert.equal(journalOf(manager).at(-1), `${release} install ${ext4Name} end installed armed again`);

  await installed.writeGuard(release, { livepatch: ext4Name, boot: manager.kernel.bootId, at: 'x' });
  assert.equal((await install(manager, recordOf('ext4'))).armed, false);
  assert.equal(installed.readGuard(release)?.boot, manager.kernel.bootId);
});

test('it is uninstalled by kernel or by name, with its guard; what is not there is status 3', {
  skip,
}, async t => {
  const manager = recordedManager(t, 'active');
  const installed = new Installed(manager.stateDirectory);
  const uninstall = (which?: string) => uninstallLivepatch(silentContext(), manager, which);
  await assert.rejects(uninstall(), { code: 'uninstall-nothing', exitStatus: 3 });
  await install(manager, recordOf('ext4'));
  await install(manager, forOtherKernel(recordOf('pipe')));
  await installed.writeGuard(release, { livepatch: ext4Name, boot: 'earlier', at: 'x' });

  const { removed, active } = await uninstall();
  assert.deepEqual([removed.map(({ livepatch }) => livepatch), active], [[ext4Name], [ext4Name]]);
  assert.equal(installed.readGuard(release), undefined);
  assert.equal(journalOf(manager).at(-1), `${release} uninstall ${ext4Name} end uninstalled`);
  await assert.rejects(uninstall(ext4Name), { code: 'uninstall-nothing' });
  assert.deepEqual((await uninstall(pipeName)).active, []);
  assert.deepEqual(installed.list(), []);
});

test('an entry that is damaged can be uninstalled, or installed over', { skip }, async t => {
  const manager = recordedManager(t, 'bare');
  const installed = new Installed(manager.stateDirectory);
  mkdirSync(installed.directory, { recursive: true });
  const damage = (text: string) => writeFileSync(join(installed.directory, `${release}.json`), text);
  for (const text of ['', '{', 'null', '{"livepatch":"../x","since":"x"}', '{"livepatch":"x"}']) {
    damage(text);
    const { removed } = await uninstallLivepatch(silentContext(), manager);
    assert.deepEqual(
      removed.map(({ livepatch }) => livepatch),
      [undefined],
      text,
    );
  }
  damage('{');
  assert.equal((await install(manager, recordOf('ext4'))).replaced, undefined);
  assert.equal(installed.read(release)?.livepatch, ext4Name);
});

test('an installation that was interrupted is written down as what is there', { skip }, async t => {
  const manager = recordedManager(t, 'bare');
  const { bootId } = manager.kernel;
  await install(manager, recordOf('ext4'));
  for (const livepatch of [ext4Name, pipeName])
    beginAction(manager.journal, { release, bootId }, 'install', livepatch, []);
  await install(manager, recordOf('ext4'));
  assert.deepEqual(journalOf(manager).slice(4, 6), [
    `${release} install ${ext4Name} end interrupted found later: installed`,
    `${release} install ${pipeName} end interrupted found later: not installed`,
  ]);
});

/** A process that installs `pipe` and kills itself before the change of the disk that `STEP` counts to. */
const mortal = `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  let left = Number(process.env.STEP);
  const mortal = (object, name) => {
    const call = object[name].bind(object);
    object[name] = (...words) => {
      if (left-- === 0) process.kill(process.pid, 'SIGKILL');
      return call(...words);
    };
  };
  const { open } = fs.promises;
  fs.promises.open = async (...words) => {
    const handle = await open(...words);
    mortal(handle, 'writeFile');
    return handle;
  };
  for (const name of ['rename', 'rm']) mortal(fs.promises, name);
  mortal(fs, 'writeFileSync');
  syncBuiltinESMExports();
  const { installLivepatch } = await import('./install.ts');
  const { openManager } = await import('./manager.ts');
  const { Machine } = await import('./machine.ts');
  const { silentContext } = await import('@kstitch/report/context');
  const { ROOT, STATE, FILES } = process.env;
  const { module, record } = JSON.parse(fs.readFileSync(FILES, 'utf8'));
  await installLivepatch(silentContext(), openManager(new Machine(ROOT), STATE), {
    files: { module: Buffer.from(module, 'base64'), record }, what: 'x.json', replace: true,
  });`;

/** Three files are written and renamed, a guard is removed, the journal has two lines. */
const changes = 9;

test('killed before any change of the disk, one livepatch or the other is installed, whole', {
  skip,
}, async t => {
  const first = recordedManager(t, 'bare');
  const { files } = requestFor(recordOf('pipe'));
  const path = join(temporary(t), 'files');
  const module = Buffer.from(files.module).toString('base64');
  writeFileSync(path, JSON.stringify({ module, record: files.record }));
  const seen = new Set<string | undefined>();
  for (let step = 0; ; step++) {
    const manager = openManager(first.machine, temporary(t));
    await install(manager, recordOf('ext4'));
    await new Installed(manager.stateDirectory).writeGuard(release, {
      livepatch: pipeName,
      boot: 'x',
      at: 'x',
    });
    const { signal, status, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', mortal],
      {
        cwd: import.meta.dirname,
        encoding: 'utf8',
        env: {
          ...process.env,
          STEP: String(step),
          ROOT: manager.machine.root,
          STATE: manager.stateDirectory,
          FILES: path,
        },
      },
    );
    assert.ok(signal === 'SIGKILL' || status === 0, stderr);
    const livepatch = new Installed(manager.stateDirectory).read(release)?.livepatch;
    assert.ok(livepatch === ext4Name || livepatch === pipeName, `step ${step}: ${livepatch}`);
    assert.ok(await new Store(manager.stateDirectory, release).bundle(livepatch), `step ${step}`);
    seen.add(livepatch);

    await install(manager, recordOf('pipe'), true);
    const installed = new Installed(manager.stateDirectory);
    assert.equal(installed.read(release)?.livepatch, pipeName);
    assert.equal(installed.readGuard(release), undefined);
    if (status === 0) {
      // It came to its end: every step was tried.
      assert.equal(step, changes);
      break;
    }
  }
  assert.equal(seen.size, 2);
});
