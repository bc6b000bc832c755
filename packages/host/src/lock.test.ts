import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { withLock } from './lock.ts';

let cache = '';
before(async () => {
  cache = await mkdtemp(join(tmpdir(), 'kstitch-lock-test-'));
  process.env['KSTITCH_CACHE'] = cache;
});
after(() => rm(cache, { recursive: true }));

test('two that want the same lock go one after the other', async () => {
  const order: string[] = [];
  const work = (name: string) => async () => {
    order.push(`${name} in`);
    await new Promise(resolve => setImmediate(resolve));
    order.push(`${name} out`);
  };
  await Promise.all(['a', 'b', 'c'].map(name => withLock(silentContext(), 'same', work(name))));
  assert.equal(order.length, 6);
  for (let i = 0; i < 6; i += 2) assert.equal(order[i]?.[0], order[i + 1]?.[0]);
});

test('locks of different names do not wait for each other', async () => {
  await withLock(silentContext(), 'one', () => withLock(silentContext(), 'two', async () => {}));
});

test('the lock of a work that failed is free again', async () => {
  await assert.rejects(
    withLock(silentContext(), 'failing', () => Promise.reject(new RangeError('work'))),
    /work/,
  );
  assert.equal(await withLock(silentContext(), 'failing', async () => 1), 1);
});

test('who waits is told on whom, and has the lock as soon as the holder is killed', async () => {
  const script = `import { withLock } from ${JSON.stringify(import.meta.resolve('./lock.ts'))};
    import { silentContext } from ${JSON.stringify(import.meta.resolve('@kstitch/report/context'))};
    await withLock(silentContext(), 'held', async () => { console.log('have it'); setInterval(() => {}, 1000); await new Promise(() => {}); });`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  const quiet = silentContext();
  let said = '';
  const context = {
    ...quiet,
    progress: {
      ...quiet.progress,
      note: (line: string) => {
        said = line;
        holder.kill('SIGKILL');
      },
    },
  };
  assert.equal(await withLock(context, 'held', async () => 'mine'), 'mine');
  assert.match(said, new RegExp(`process ${holder.pid}\\b.*held`));
});

test('a lock in a folder of its own nobody else may open, also one that was there before', async () => {
  const folder = join(cache, 'own');
  const file = join(folder, 'one.lock');
  const mode = () => withLock(silentContext(), 'one', async () => (await stat(file)).mode & 0o777, folder);
  assert.equal(await mode(), 0o600);
  await chmod(file, 0o644);
  assert.equal(await mode(), 0o600);
  await symlink('/nonexistent/file', join(folder, 'nowhere.lock'));
  await assert.rejects(
    withLock(silentContext(), 'nowhere', async () => {}, folder),
    { code: 'host-lock-failed', message: /^lock 'nowhere': open '.*nowhere.lock': / },
  );
});

test('an interrupt ends the waiting', async () => {
  const stop = new AbortController();
  await withLock(silentContext(), 'busy', async () => {
    const waiting = withLock(silentContext(stop.signal), 'busy', async () => {});
    setTimeout(() => stop.abort(), 100);
    await assert.rejects(waiting, error => error instanceof KstitchError && error.code === 'interrupted');
  });
});

test('a lock that cannot be taken is an error that says why, and the work is not begun', async () => {
  const locks = join(cache, 'locks');
  await mkdir(locks, { recursive: true });
  // What even root cannot open.
  await symlink('/nonexistent/file', join(locks, 'nowhere.lock'));
  let begun = false;
  const work = async () => {
    begun = true;
  };
  await assert.rejects(withLock(silentContext(), 'nowhere', work), error => {
    assert.ok(error instanceof KstitchError && error.code === 'host-lock-failed');
    assert.match(error.message, /^lock 'nowhere': .*cannot open lock file .*No such file or directory$/);
    return true;
  });
  assert.equal(begun, false);
});

test('a full disk keeps nobody from the lock, and the lock keeps others away', async () => {
  const locks = join(cache, 'locks');
  await mkdir(locks, { recursive: true });
  await symlink('/dev/full', join(locks, 'full.lock'));
  const order: string[] = [];
  const work = (name: string) => async () => {
    order.push(`${name} in`);
    await new Promise(resolve => setTimeout(resolve, 20));
    order.push(`${name} out`);
  };
  await Promise.all(['a', 'b'].map(name => withLock(silentContext(), 'full', work(name))));
  assert.equal(order[0]?.replace('in', 'out'), order[1]);
  assert.equal(order[2]?.replace('in', 'out'), order[3]);
});

test('a cache folder that is a file is named', async () => {
  const before = process.env['KSTITCH_CACHE'];
  const file = join(cache, 'file');
  await writeFile(file, '');
  process.env['KSTITCH_CACHE'] = file;
  try {
    await assert.rejects(
      withLock(silentContext(), 'any', async () => {}),
      error => error instanceof KstitchError && error.code === 'host-file-failed',
    );
  } finally {
    process.env['KSTITCH_CACHE'] = before;
  }
});
