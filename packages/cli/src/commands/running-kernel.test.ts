/** Commands about the running kernel, on whatever machine the tests run: without livepatches, and perhaps without root. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { moduleFor, recordOf } from '@kstitch/manager/fixture-machine';
import type { LivepatchStatus } from '@kstitch/manager/status';
import { renderListed } from './list.ts';
import { healthText } from './status.ts';

/** What is active by sysfs, and by ftrace is not. */
const lost: LivepatchStatus = {
  name: 'kstitch_x',
  phase: 'active',
  objects: [],
  replace: true,
  known: true,
  cves: ['CVE-2026-0001'],
  patches: [],
  since: undefined,
  forced: false,
  unload: undefined,
  attestation: { verdict: 'not in force', functions: [] },
};

const mainFile = join(import.meta.dirname, '../main.ts');

function stateFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function kstitch(state: string, ...words: string[]) {
  const { status, stdout } = spawnSync(process.execPath, [mainFile, ...words, '--json'], {
    encoding: 'utf8',
    input: '',
    env: { ...process.env, KSTITCH_STATE: state },
  });
  return { status, json: JSON.parse(stdout) };
}

test('list, status, explain and history of a machine without livepatches', t => {
  const state = stateFolder(t);
  const list = kstitch(state, 'list');
  assert.deepEqual([list.status, list.json.kernel, list.json.livepatches], [0, release(), []]);
  const status = kstitch(state, 'status');
  assert.deepEqual([status.status, status.json.health, status.json.kernel.release], [0, 'well', release()]);
  assert.deepEqual(kstitch(state, 'explain').json.transition, null);
  assert.deepEqual(kstitch(state, 'history').json.entries, []);
});

test('list and status say of one that is active whether calls come to it', () => {
  assert.equal(renderListed(lost, ''), 'kstitch_x  active, not in force  CVE-2026-0001');
  assert.match(
    healthText({ health: 'fix withdrawn', livepatches: [lost] }),
    /^a livepatch is active and yet not in force: unload it/,
  );
  const named = { ...lost, cves: [], patches: ['a\x1b[2J.patch'] };
  assert.equal(renderListed(named, ''), 'kstitch_x  active, not in force  a.patch');
  const well = { ...lost, attestation: undefined };
  assert.equal(renderListed(well, ''), 'kstitch_x  active  CVE-2026-0001');
  assert.match(
    healthText({ health: 'fix withdrawn', livepatches: [well] }),
    /^a module was to be loaded again/,
  );
});

test('status and history tell that lines of the journal are damaged', t => {
  const state = stateFolder(t);
  writeFileSync(join(state, 'journal'), '{"at":"x\n');
  const [finding] = kstitch(state, 'status').json.diagnostics;
  assert.deepEqual([finding.code, finding.text], ['journal-damaged', '1 line of the journal cannot be read']);
  assert.equal(kstitch(state, 'history').json.damagedLines, 1);
});

test('history shows the names of tasks, and what is no text in them by its number', t => {
  const state = stateFolder(t);
  const entry = {
    at: '2026-11-24T03:00:00.000Z',
    boot: 'b',
    kernel: '6.1',
    action: 'load',
    livepatch: 'x',
    id: '1',
  };
  const notes = ['a\x1b]0;b\x07\x9b2J\x08 (process 1): it runs'];
  writeFileSync(
    join(state, 'journal'),
    JSON.stringify({ ...entry, phase: 'end', result: 'reversed', notes }),
  );
  const { stdout } = spawnSync(process.execPath, [mainFile, 'history'], {
    encoding: 'utf8',
    env: { ...process.env, KSTITCH_STATE: state },
  });
  assert.equal(stdout, '2026-11-24T03:00:00.000Z  6.1  load x: reversed (a\\x08 (process 1): it runs)\n');
});

test('a livepatch of an unknown name is an error, and so is one that is none', t => {
  const state = stateFolder(t);
  const { status, json } = kstitch(state, 'load', 'kstitch_x');
  assert.deepEqual([status, json.error.code], [1, 'livepatch-unknown']);
  assert.equal(kstitch(state, 'load', `${state}/x`).json.error.code, 'input-unreadable');
  assert.equal(kstitch(state, 'unload', 'a/b').status, 64);
});

test('a source patch is no module, and what to do with it is said', t => {
  const { status, json } = kstitch(stateFolder(t), 'load', 'some/x.patch');
  assert.deepEqual([status, json.error.code], [1, 'load-source-patch']);
  assert.equal(json.error.help, `build a livepatch of it: kstitch build some/x.patch --kernel ${release()}`);
});

test('what was typed wrong is said to be, by the name of the command', t => {
  const state = stateFolder(t);
  const typed = (...words: string[]) => {
    const { status, json } = kstitch(state, ...words);
    return [status, json.error.code, json.error.message, json.error.help];
  };
  for (const words of [
    ['install', 'mail.mbox'],
    ['install', 'bad name!'],
    ['load', '.'],
  ])
    assert.deepEqual(typed(...words).slice(0, 2), [1, 'livepatch-unknown'], words.join(' '));
  assert.deepEqual(typed('load', 'out/x.json'), [
    1,
    'livepatch-half',
    "load 'out/x.json': it is a record, and no module",
    'give the module: kstitch load out/x.ko',
  ]);
  assert.equal(typed('load', 'out/x.proof.json')[3], 'give the module: kstitch load out/x.ko');
  assert.deepEqual(typed('install', 'x.patch').slice(2), [
    "install 'x.patch': it is a patch of the source, the kernel loads modules",
    'build a livepatch of it: kstitch build x.patch --kernel RELEASE',
  ]);
  for (const name of ['fix', 'fix.ko']) {
    writeFileSync(join(state, name), 'x');
    const [status, code, message, help] = typed('load', join(state, name));
    assert.deepEqual([status, code], [1, 'livepatch-half']);
    assert.match(message, /its record '.*\/fix\.json' is not there$/);
    assert.match(help, /put NAME\.json beside NAME\.ko/);
  }
});

test('what uninstall takes besides a livepatch is told too', t => {
  const { status, json } = kstitch(stateFolder(t), 'uninstall', './x.ko');
  assert.equal(status, 64);
  assert.match(
    json.error.message,
    /must be a kernel release or the name of a livepatch, as 'kstitch status' shows/,
  );
});

test('who is not root is told before anything else, and may look at what loading would do', t => {
  const state = stateFolder(t);
  const { module, bundle } = moduleFor(recordOf('ext4'));
  writeFileSync(join(state, 'x.ko'), module);
  writeFileSync(join(state, 'x.json'), JSON.stringify(bundle));
  const file = join(state, 'x.ko');
  // Root may go without this, so that the user is another by word alone; no folder is their own.
  const other = ['--import', 'data:text/javascript,process.geteuid = () => 1000', mainFile];
  const { KSTITCH_STATE: _, XDG_STATE_HOME: __, ...environment } = process.env;
  const asOther = (...words: string[]) => {
    const { stdout } = spawnSync(process.execPath, [...other, ...words, '--json'], {
      encoding: 'utf8',
      env: { ...environment, HOME: '/dev/null' },
    });
    const { error, diagnostics } = JSON.parse(stdout);
    return error?.code ?? diagnostics[0].code;
  };
  for (const words of [
    ['load', file],
    ['load', 'kstitch_x'],
    ['load', 'kstitch_x', '--dry-run'],
    ['unload', 'kstitch_x'],
    ['reload-target', 'loop'],
    ['install', file],
    ['uninstall'],
  ])
    assert.equal(asOther(...words), 'machine-not-root', words[0]);
  assert.equal(asOther('load', join(state, 'none.ko')), 'input-unreadable');
  assert.equal(asOther('load', file, '--dry-run'), 'load-other-kernel');
});

test('install tells where one for another kernel is kept', t => {
  const state = stateFolder(t);
  const kept = join(state, 'livepatches/6.1.0-1-amd64');
  mkdirSync(kept, { recursive: true });
  for (const name of ['kstitch_x.ko', 'kstitch_x.json']) writeFileSync(join(kept, name), '');
  const { code, help } = kstitch(state, 'install', 'kstitch_x').json.error;
  assert.deepEqual(
    [code, help],
    ['livepatch-unknown', `one for another kernel is kept: kstitch install ${kept}/kstitch_x.ko`],
  );
  assert.match(kstitch(state, 'load', 'kstitch_x').json.error.help, /^give the path of NAME\.ko/);
});

test('--force needs somebody to ask, before anything is loaded', t => {
  const state = stateFolder(t);
  writeFileSync(join(state, 'x.ko'), '');
  writeFileSync(
    join(state, 'x.json'),
    readFileSync(new URL('../../../manager/src/fixtures/ext4.json', import.meta.url)),
  );
  const { status, json } = kstitch(state, 'load', join(state, 'x.ko'), '--force');
  assert.deepEqual([status, json.error.code], [1, 'load-force-declined']);
});

test('a livepatch for another kernel is refused, and nothing written', t => {
  const state = stateFolder(t);
  writeFileSync(join(state, 'x.ko'), '');
  writeFileSync(
    join(state, 'x.json'),
    readFileSync(new URL('../../../manager/src/fixtures/ext4.json', import.meta.url)),
  );
  const { status, json } = kstitch(state, 'load', join(state, 'x.ko'));
  assert.equal(status, 2);
  assert.deepEqual(
    json.diagnostics.map(({ code }: { code: string }) => code),
    ['load-module-changed', 'load-other-kernel'],
  );
  assert.deepEqual(kstitch(state, 'history').json.entries, []);
});

test('a livepatch of another kernel is installed for that one, replaced when asked, and uninstalled', t => {
  const state = stateFolder(t);
  for (const name of ['ext4', 'pipe'] as const) {
    const { module, bundle } = moduleFor(recordOf(name));
    writeFileSync(join(state, `${name}.ko`), module);
    writeFileSync(join(state, `${name}.json`), JSON.stringify(bundle));
  }
  const kernel = recordOf('ext4').kernel.release;
  const nothing = kstitch(state, 'uninstall');
  assert.deepEqual([nothing.status, nothing.json.error.code], [3, 'uninstall-nothing']);
  const install = kstitch(state, 'install', join(state, 'ext4.ko'));
  assert.equal(install.status, 0);
  assert.deepEqual(
    [install.json.livepatch, install.json.kernel, install.json.active],
    [recordOf('ext4').module, kernel, false],
  );
  const taken = kstitch(state, 'install', join(state, 'pipe.ko'));
  assert.deepEqual(
    [taken.status, taken.json.error.code, taken.json.error.help],
    [2, 'install-taken', `put this one in its place: kstitch install ${join(state, 'pipe.ko')} --replace`],
  );
  assert.equal(
    kstitch(state, 'install', join(state, 'pipe.ko'), '--replace').json.replaced,
    recordOf('ext4').module,
  );

  // Here another kernel runs: it has nothing to load, and is well without.
  const boot = kstitch(state, 'boot');
  assert.deepEqual([boot.status, boot.json.result], [0, 'nothing']);
  const { status, json } = kstitch(state, 'status');
  assert.deepEqual([status, json.health, json.boot.others[0].kernel], [0, 'well', kernel]);
  const { removed } = kstitch(state, 'uninstall', kernel).json;
  assert.equal(removed[0].livepatch, recordOf('pipe').module);
});

test('status ends with 11 when what is installed is not active, and with 13 when its guard has tripped', t => {
  const state = stateFolder(t);
  mkdirSync(join(state, 'installed'));
  const write = (name: string, text: object) =>
    writeFileSync(join(state, 'installed', `${release()}.${name}`), JSON.stringify(text));
  write('json', { livepatch: 'kstitch_x', since: '2026-11-24T00:00:00.000Z' });
  assert.deepEqual(
    [kstitch(state, 'status').status, kstitch(state, 'status').json.health],
    [11, 'installed but not active'],
  );
  const damaged = kstitch(state, 'boot');
  assert.deepEqual([damaged.status, damaged.json.error.code], [1, 'install-damaged']);
  write('guard', { livepatch: 'kstitch_x', boot: 'earlier', at: '2026-11-24T03:00:00.000Z' });
  assert.equal(kstitch(state, 'status').status, 13);
  const { stdout } = spawnSync(process.execPath, [mainFile, 'status'], {
    encoding: 'utf8',
    env: { ...process.env, KSTITCH_STATE: state },
  });
  assert.match(stdout, /^health: +the installed livepatch is left out after a crash$/m);
  assert.match(
    stdout,
    /^installed: +kstitch_x, not active\nbecause: +left out: the boot that loaded it, 2026-11-24T03:00:00.000Z, ended/m,
  );
  assert.match(stdout, /^guard: +tripped; once you know why: kstitch install kstitch_x$/m);
});

test('to others than root status is never well, and neither history nor boot says that there is nothing', () => {
  // Root may go without this, so that the user is another by word alone; no folder is their own.
  const other = ['--import', 'data:text/javascript,process.geteuid = () => 1000', mainFile];
  const { KSTITCH_STATE: _, XDG_STATE_HOME: __, ...environment } = process.env;
  const asOther = (...words: string[]) => {
    const env = { ...environment, HOME: '/dev/null' };
    const { status, stdout } = spawnSync(process.execPath, [...other, ...words], { encoding: 'utf8', env });
    return { status, stdout };
  };
  const seen = asOther('status', '--json');
  const { health, boot, diagnostics } = JSON.parse(seen.stdout);
  assert.deepEqual([seen.status, health, boot, diagnostics[0].code], [1, 'unknown', null, 'state-not-root']);
  assert.match(asOther('status').stdout, /^health: +unknown: only root may see what is installed$/m);
  for (const word of ['history', 'boot']) {
    const { status, stdout } = asOther(word, '--json');
    assert.deepEqual([status, JSON.parse(stdout).error.code], [1, 'machine-not-root'], word);
  }
});
