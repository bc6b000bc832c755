import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporary } from './fixture-machine.ts';
import { Machine } from './machine.ts';

test('what is not there is undefined, and nothing in between', t => {
  const machine = new Machine(temporary(t));
  assert.equal(machine.read('/proc/1/task/1/stat'), undefined);
  assert.equal(machine.list('/proc'), undefined);
  assert.deepEqual(machine.folders('/proc'), []);
  assert.deepEqual([...machine.lines('/proc/modules', 10)], []);
  assert.equal(machine.write('/sys/kernel/livepatch/x/enabled', '0'), false);
});

test('a value is written over the old one', t => {
  const root = temporary(t);
  writeFileSync(join(root, 'enabled'), '1\n');
  assert.equal(new Machine(root).write('/enabled', '0'), true);
  assert.equal(readFileSync(join(root, 'enabled'), 'utf8'), '0\n');
});

test('more than the limit is refused, not cut off', t => {
  const root = temporary(t);
  writeFileSync(join(root, 'a'), 'x'.repeat(100));
  const machine = new Machine(root);
  assert.equal(machine.read('/a', 100)?.length, 100);
  assert.throws(() => machine.read('/a', 99), { code: 'machine-unreadable' });
  assert.throws(() => [...machine.lines('/a', 99)], { code: 'machine-unreadable' });
  assert.throws(() => new Machine('/').read('/dev/zero', 1000), { code: 'machine-unreadable' });
});

test('lines are whole wherever a read ends, and who stops reading leaves no file open', t => {
  const root = temporary(t);
  const text = Array.from({ length: 30_000 }, (_, index) => `function_${index}`);
  writeFileSync(join(root, 'a'), text.join('\n'));
  const machine = new Machine(root);
  assert.deepEqual([...machine.lines('/a', 1_000_000)], text);
  for (let i = 0; i < 2000; i++) for (const line of machine.lines('/a', 1_000_000)) if (line !== '') break;
});

test('a folder that cannot be read as a file is an error that names it', t => {
  const root = temporary(t);
  mkdirSync(join(root, 'folder'));
  assert.throws(() => new Machine(root).read('/folder'), {
    code: 'machine-unreadable',
    message: "read '/folder': EISDIR",
  });
});

test('what only root may read says so', {
  skip: process.geteuid?.() === 0 && 'root may read everything',
}, t => {
  const root = temporary(t);
  writeFileSync(join(root, 'a'), '');
  chmodSync(join(root, 'a'), 0);
  assert.throws(() => new Machine(root).read('/a'), { code: 'machine-not-root' });
});

test('what may only be written is written', t => {
  const root = temporary(t);
  writeFileSync(join(root, 'force'), '', { mode: 0o200 });
  assert.equal(new Machine(root).write('/force', '1'), true);
  assert.equal(statSync(join(root, 'force')).size, 1);
});
