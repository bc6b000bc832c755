import assert from 'node:assert/strict';
import { getPriority } from 'node:os';
import { test } from 'node:test';
import { inFront, stepBack } from './priority.ts';
import { run } from './run.ts';

const nicenessOf = async (started: Promise<{ readonly stdout: string }>): Promise<number> =>
  Number((await started).stdout);
/** Its own, proc(5): /proc/pid/stat. */
const nice = () => run('sh', ['-c', 'set -- $(cat /proc/$$/stat); echo ${19}']);
const before = getPriority();

test('a process steps back once, and what it starts comes after others too', async () => {
  assert.equal(await nicenessOf(inFront(nice)), before);
  stepBack();
  stepBack();
  assert.equal(getPriority(), before + 5);
  assert.equal(await nicenessOf(nice()), before + 5);
});

test('what is started in front has the place that the process had', async () => {
  stepBack();
  const expected = process.geteuid?.() === 0 ? before : before + 5;
  assert.equal(await nicenessOf(inFront(nice)), expected);
  assert.equal(getPriority(), before + 5);
  assert.throws(
    () =>
      inFront(() => {
        throw new Error('not started');
      }),
    /not started/,
  );
  assert.equal(getPriority(), before + 5);
});
