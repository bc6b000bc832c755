import assert from 'node:assert/strict';
import { chmodSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { recorded, recordedManager } from './fixture-machine.ts';
import { beginAction } from './journal.ts';
import { Machine } from './machine.ts';
import { alone, disabledAt, openManager } from './manager.ts';

test('the grace time counts from when the livepatch was disabled, in this boot, by whatever action', t => {
  const { machine, journal, kernel } = recordedManager(t, 'bare');
  const of = (name: string) => disabledAt(journal.read().entries, kernel.bootId, name);
  beginAction(journal, { ...kernel, bootId: 'earlier' }, 'unload', 'a', []).step('disabled');
  assert.equal(of('a'), undefined);
  beginAction(journal, kernel, 'unload', 'a', []).step('disabled');
  writeFileSync(join(machine.root, 'proc/uptime'), '60.25 0.00\n');
  beginAction(journal, kernel, 'load', 'b', []).end('reversed');
  beginAction(journal, kernel, 'load', 'c', []).end('attested');
  const at = (name: string) => journal.read().entries.findLast(({ livepatch }) => livepatch === name)?.uptime;
  assert.deepEqual([of('a'), at('a')], [28.73, 28.73]);
  assert.deepEqual([of('b'), at('b')], [60.25, 60.25]);
  assert.equal(of('c'), undefined);
});

test('whatever was done with a livepatch after it was disabled leaves open since when it is', t => {
  const { journal, kernel } = recordedManager(t, 'bare');
  const of = (name: string) => disabledAt(journal.read().entries, kernel.bootId, name);
  const unload = (name: string) => {
    beginAction(journal, kernel, 'unload', name, []).end('disabled');
    assert.notEqual(of(name), undefined);
  };
  unload('a');
  beginAction(journal, kernel, 'load', 'b', []).end('attested');
  assert.notEqual(of('a'), undefined, 'another livepatch is loaded');
  beginAction(journal, kernel, 'boot', 'a', []).end('once more');
  beginAction(journal, kernel, 'install', 'a', []).end('installed');
  assert.notEqual(of('a'), undefined, 'what is about boots touches no livepatch in the kernel');
  // Its time was that of the first unload, while another one replaced it since.
  beginAction(journal, kernel, 'load', 'a', []).end('attested');
  assert.equal(of('a'), undefined);
  for (const action of ['force', 'unload', 'reload'] as const) {
    unload(action);
    beginAction(journal, kernel, action, action, []);
    assert.equal(of(action), undefined);
  }
  // A reload puts back what it disabled.
  const reload = beginAction(journal, kernel, 'reload', 'c', [], 'loop');
  reload.step('disabled');
  assert.notEqual(of('c'), undefined);
  reload.step('inserted');
  assert.equal(of('c'), undefined);
  // One that was removed is there again only because somebody loaded it by hand.
  const removed = beginAction(journal, kernel, 'unload', 'd', []);
  removed.step('disabled');
  removed.end('removed');
  assert.equal(of('d'), undefined);
});

test('where /proc or /sys is not mounted nothing is known, and not that all is well', t => {
  for (const mount of ['proc', 'sys']) {
    const { root } = recorded(t, 'active', { [mount]: undefined });
    assert.throws(() => openManager(new Machine(root), root), {
      code: 'machine-unreadable',
      message: new RegExp(`'/${mount}' is not mounted$`),
    });
  }
});

test('two actions never go on at once', async t => {
  const manager = recordedManager(t, 'bare');
  const order: string[] = [];
  const work = (name: string) =>
    alone(silentContext(), manager, async () => {
      order.push(`${name} begins`);
      await new Promise(resolve => setTimeout(resolve, 50));
      order.push(`${name} ends`);
    });
  await Promise.all([work('a'), work('b')]);
  assert.equal(order[0]?.replace('begins', 'ends'), order[1]);
  assert.equal(order[2]?.replace('begins', 'ends'), order[3]);
});

test('the state folder and the lock are for their owner; a folder that others may write into is told', async t => {
  const manager = recordedManager(t, 'bare');
  const { stateDirectory } = manager;
  const mode = (...path: string[]) => statSync(join(stateDirectory, ...path)).mode & 0o777;
  rmSync(stateDirectory, { recursive: true });
  const tell = async () => {
    const context = silentContext();
    // As a boot with a second try does.
    for (let time = 0; time < 2; time++) await alone(context, manager, async () => {});
    return context.diagnostics.map(({ code }) => code);
  };
  assert.deepEqual(await tell(), []);
  assert.deepEqual([mode(), mode('livepatches.lock')], [0o700, 0o600]);
  chmodSync(stateDirectory, 0o755);
  assert.deepEqual(await tell(), []);
  chmodSync(stateDirectory, 0o775);
  assert.deepEqual(await tell(), ['state-open']);
});
