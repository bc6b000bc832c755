/** The same states on Linux 6.12: what its sysfs, procfs and tracefs say otherwise than 6.1's is read as well. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missingCompiler } from '@kstitch/testkit/compile';
import { attest } from './attest.ts';
import { explainTransition, nameBlocker } from './explain.ts';
import { moduleFor, type Recording, recorded, recordOf } from './fixture-machine.ts';
import { readKernelIdentity } from './kernel-identity.ts';
import { readKprobes } from './kprobes.ts';
import { preflight } from './preflight.ts';
import { readLivepatches } from './read-livepatches.ts';

const skip = missingCompiler;
const ext4 = recordOf('6.12/ext4');
const pipe = recordOf('6.12/pipe');
const kthreadd = recordOf('6.12/kthreadd');

test('each state is told apart, and that a livepatch replaces others is said', t => {
  const phases = (recording: Recording) =>
    readLivepatches(recorded(t, recording)).map(({ name, phase }) => [name, phase]);
  assert.deepEqual(phases('6.12/bare'), []);
  assert.deepEqual(phases('6.12/active'), [[ext4.module, 'active']]);
  assert.deepEqual(phases('6.12/enabling-task'), [
    [ext4.module, 'active'],
    [pipe.module, 'enabling'],
  ]);
  assert.deepEqual(phases('6.12/disabling-task'), [
    [ext4.module, 'disabled'],
    [pipe.module, 'disabling'],
  ]);
  assert.deepEqual(phases('6.12/disabled'), [
    [ext4.module, 'disabled'],
    [pipe.module, 'disabled'],
  ]);
  assert.deepEqual(phases('6.12/enabling-kthread').at(-1), [kthreadd.module, 'enabling']);
  assert.equal(readLivepatches(recorded(t, '6.12/active'))[0]?.replace, true);
});

test('a livepatch is attested by what ftrace shows', t => {
  const { verdict, functions } = attest(recorded(t, '6.12/active'), ext4.module) ?? {};
  assert.equal(verdict, 'attested');
  assert.deepEqual(
    functions?.map(({ name }) => name),
    ext4.objects.flatMap(object => object.functions.map(({ name }) => name)),
  );
});

test('who is in the way is named, task or kernel thread', t => {
  const blockers = (recording: Recording) =>
    explainTransition(recorded(t, recording))?.blockers.map(nameBlocker).join('\n') ?? '';
  assert.match(blockers('6.12/enabling-task'), /^cat \(process \d+\) in pipe_read\(\)$/m);
  assert.match(blockers('6.12/disabling-task'), /^cat \(process \d+\) in pipe_read\(\)$/m);
  assert.match(blockers('6.12/enabling-kthread'), /^kthreadd \(kernel thread 2\) in kthreadd\(\)$/m);
});

test('preflight lets a livepatch pass, and sees a kprobe inside of a function', { skip }, async t => {
  const codes = async (recording: Recording, record = ext4) => {
    const machine = recorded(t, recording);
    const { module, bundle } = moduleFor(record);
    const findings = await preflight(machine, readKernelIdentity(machine), {
      bundle,
      module,
      drop: [],
      freeDisk: 2 ** 30,
      bundleOf: () => Promise.resolve(undefined),
    });
    return findings.map(({ code }) => code);
  };
  assert.deepEqual(await codes('6.12/bare'), []);
  assert.deepEqual(await codes('6.12/kprobes'), ['load-kprobe-inside']);
  assert.deepEqual(await codes('6.12/bare', recordOf('ext4')), ['load-other-kernel']);
  // In whatever order the kernel's table has them.
  const kprobes = (recording: Recording) =>
    readKprobes(recorded(t, recording))
      .map(({ symbol, byFtrace }) => `${symbol} ${byFtrace}`)
      .toSorted();
  assert.deepEqual(kprobes('6.12/kprobes'), kprobes('kprobes'));
});
