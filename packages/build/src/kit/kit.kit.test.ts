import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import { run } from '@kstitch/host/run';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { pathOfPurposes } from '@kstitch/testkit/path-of-purposes';
import { kbuildEnvironment } from './kbuild.ts';
import { fetchKit, type Kit, listKits, openKit } from './kit.ts';
import { readRecordedUnits } from './recorded-units.ts';

const release = '6.1.0-55-cloud-amd64';
/** What the other tests share: packages and their lists come from there, so that nothing is downloaded twice. */
const sharedCache = cacheDirectory();
let ownCache = '';
/** With the programs of the packages that kstitch asks for, and no others. */
let path = '';

/** Made from nothing, once, by the third test; those after it look at it. */
let kit: Kit;

before(async () => {
  await mkdir(sharedCache, { recursive: true });
  ownCache = await mkdtemp(join(sharedCache, 'kit-test-'));
  for (const name of ['apt', 'debs', 'locks']) {
    await mkdir(join(sharedCache, name), { recursive: true });
    await symlink(join(sharedCache, name), join(ownCache, name));
  }
  path = await pathOfPurposes(join(ownCache, 'path'), ['kit']);
  process.env['KSTITCH_CACHE'] = ownCache;
});
after(() => rm(ownCache, { recursive: true, force: true, maxRetries: 5, retryDelay: 500 }));

test('a kit that is killed in the making is no kit', async () => {
  const child = fetchInChild();
  await said(child, /^> unpack the kernel source$/m);
  child.kill('SIGKILL');
  await once(child, 'close');
  // What was half made is there, and is not taken for a kit.
  assert.deepEqual(await readdir(join(ownCache, 'kits')), [release]);
  assert.deepEqual(await listKits(), []);
  await assert.rejects(openKit(release), isError('kit-absent'));
});

test('an interrupted one leaves nothing behind', async () => {
  const child = fetchInChild();
  await said(child, /^> unpack the kernel image and headers$/m);
  child.kill('SIGINT');
  const [status] = await once(child, 'close');
  assert.equal(status, 130);
  assert.deepEqual(await readdir(join(ownCache, 'kits')), []);
});

test('two that want the same kit both get it, and one makes it', async () => {
  const children = [fetchInChild(), fetchInChild()];
  const outputs = await Promise.all(
    children.map(async child => {
      let text = '';
      child.stdout?.on('data', (data: Buffer) => {
        text += data.toString();
      });
      const [status] = await once(child, 'close');
      assert.equal(status, 0, text);
      return text;
    }),
  );
  const made = outputs.filter(text => text.includes('> prepare the kernel source'));
  assert.equal(made.length, 1, outputs.join('\n---\n'));
  kit = await openKit(release);
  assert.deepEqual(
    (await listKits()).map(found => found.release),
    [release],
  );
});

test('the kit is of exactly that version', async () => {
  assert.equal(kit.packageVersion, '6.1.192-1');
  const makefile = await readFile(join(kit.paths.tree, 'Makefile'), 'utf8');
  assert.match(makefile, /^VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192$/m);
  const banner = (await readFile(kit.paths.vmlinux)).includes('Linux version 6.1.0-55-cloud-amd64 ');
  assert.ok(banner);
  for (const wanted of kit.packages.filter(found => !found.name.startsWith('linux-kbuild'))) {
    assert.equal(wanted.version, '6.1.192-1', wanted.name);
  }
});

test("the configuration and what is derived from it are Debian's", async () => {
  for (const name of [
    '.config',
    'include/generated/autoconf.h',
    'include/generated/package.h',
    'include/generated/compile.h',
  ]) {
    const [own, shipped] = await Promise.all(
      [kit.paths.tree, kit.paths.headers].map(folder => readFile(join(folder, name), 'utf8')),
    );
    assert.equal(own, shipped, name);
  }
});

test('kbuild compiles one unit without preparing anything again, as the record says', async () => {
  const { tree, units } = kit.paths;
  // crc32 needs a table that modules_prepare does not make.
  const objects = ['fs/ext4/bitmap.o', 'lib/crc32.o'];
  const { stdout } = await run('make', ['-C', tree, 'objtool=true', ...objects], {
    onlyEnv: kbuildEnvironment(),
  });
  const done = stdout
    .split('\n')
    .filter(line => /^ {2}[A-Z]/.test(line) && !/^ {2}(CALL|DESCEND|INSTALL) /.test(line));
  assert.deepEqual(done.toSorted(), objects.map(object => `  CC      ${object}`).toSorted());

  const recorded = await readRecordedUnits(units);
  for (const object of objects) {
    const byKbuild = await readFile(join(tree, object));
    await rm(join(tree, object));
    await run('sh', ['-c', recorded.get(object)?.command ?? 'false'], { cwd: tree });
    assert.ok(byKbuild.equals(await readFile(join(tree, object))), object);
  }
});

test('the record names the modules that were shipped, and what is built in', async () => {
  const recorded = await readRecordedUnits(kit.paths.units);
  const shipped = (await readdir(kit.paths.modulesDirectory, { recursive: true })).filter(name =>
    name.endsWith('.ko'),
  );
  const modules = new Set([...recorded.values()].flatMap(unit => unit.modules));
  assert.equal(modules.size, shipped.length);
  assert.deepEqual(recorded.get('fs/ext4/mballoc.o')?.modules, []);
  assert.deepEqual(recorded.get('virt/kvm/kvm_main.o')?.modules, ['arch/x86/kvm/kvm']);
});

test('a kit that lacks a file is said to be damaged', async () => {
  await rm(kit.paths.vmlinux);
  await assert.rejects(openKit(release), isError('kit-damaged'));
});

test('a release that never was is refused with the nearest names', async () => {
  await assert.rejects(fetchKit(silentContext(), '6.1.0-55-clod-amd64'), error => {
    assert.ok(isError('kit-release-unknown')(error) && error instanceof KstitchError);
    assert.match(error.notes.join(), /'6\.1\.0-55-cloud-amd64'/);
    return true;
  });
  await assert.rejects(fetchKit(silentContext(), '../../etc'), isError('kit-release-unknown'));
});

test('a snapshot archive that does not answer has its own code', async () => {
  const nobody = { snapshot: 'http://127.0.0.1:9/archive/debian-security/' };
  await assert.rejects(
    fetchKit(silentContext(), '6.1.0-20-cloud-amd64', nobody),
    isError('kit-snapshot-unreachable'),
  );
});

function isError(code: string): (error: unknown) => boolean {
  return error => error instanceof KstitchError && error.code === code;
}

/** kstitch in a process of its own, which prints the steps and takes Ctrl-C. */
function fetchInChild(): ChildProcess {
  const script = `import { fetchKit } from ${JSON.stringify(import.meta.resolve('./kit.ts'))};
    const stop = new AbortController();
    process.on('SIGINT', () => stop.abort());
    const progress = { step: async (label, work) => { console.log('> ' + label); return await work(() => {}); }, note: line => console.log(line) };
    await fetchKit({ progress, signal: stop.signal, diagnostics: [] }, '${release}').catch(error => {
      console.log(error);
      process.exit(error.exitStatus);
    });`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, PATH: path },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function said(child: ChildProcess, pattern: RegExp): Promise<void> {
  let text = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (data: Buffer) => {
      text += data.toString();
      if (pattern.test(text)) resolve();
    });
    child.once('close', () => reject(new Error(`it ended after: ${text}`)));
  });
}
