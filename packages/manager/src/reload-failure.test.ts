/** Whatever goes wrong once the livepatch is out of force, it is put back, or said to be out of force. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { missingCompiler } from '@kstitch/testkit/compile';
import { ext4Name } from './fixture-machine.ts';
import { assertRestored, failure, patchedModule, reload } from './fixture-patched-module.ts';
import type { Manager } from './manager.ts';

const skip = missingCompiler;

/** So many times the list of modules cannot be read once the livepatch is disabled. */
function failToListModules(t: TestContext, { machine, journal }: Manager, times: number, error: Error): void {
  const lines = machine.lines.bind(machine);
  let left = times;
  t.mock.method(machine, 'lines', (path: string, limit: number) => {
    if (path === '/proc/modules' && left > 0 && journal.read().entries.at(-1)?.result === 'disabled') {
      left -= 1;
      throw error;
    }
    return lines(path, limit);
  });
}

test('whatever is thrown while the module is loaded again, the livepatch is back', { skip }, async t => {
  const { manager, calls } = await patchedModule(t);
  const error = new TypeError('not one of ours');
  failToListModules(t, manager, 1, error);
  await assert.rejects(reload(manager), error);
  assert.deepEqual(calls(), [`rmmod ${ext4Name}`, 'insmod']);
  await assertRestored(manager);
});

test('a list of modules that cannot be read, so that nothing is put back, is said', { skip }, async t => {
  const { manager } = await patchedModule(t);
  const unreadable = new KstitchError('machine-unreadable', "read '/proc/modules': EIO");
  failToListModules(t, manager, 2, unreadable);
  const error = await failure(reload(manager));
  assert.equal(error.code, 'reload-not-restored');
  assert.deepEqual(error.notes, [unreadable.message]);
});

test('Ctrl-C in the moment in which the disabling ends does not leave it so', { skip }, async t => {
  const { manager, calls, disable, holdKernel } = await patchedModule(t);
  holdKernel();
  const controller = new AbortController();
  const write = manager.machine.write.bind(manager.machine);
  t.mock.method(manager.machine, 'write', (path: string, value: string) => {
    setTimeout(() => {
      disable();
      controller.abort(new KstitchError('interrupted', 'x'));
    }, 5);
    return write(path, value);
  });
  await assert.rejects(reload(manager, {}, silentContext(controller.signal)), { name: 'AbortError' });
  assert.deepEqual(calls(), [`rmmod ${ext4Name}`, 'insmod']);
  await assertRestored(manager);
});
