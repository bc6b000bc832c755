/** Both judges on runs put together from recorded kernel logs and from what guest/prove.sh says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Diagnostic } from '@kstitch/report/diagnostic';
import { Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { type Frame, GuestChannel } from './guest-channel.ts';
import { type BareExpectations, judgeBareRun } from './judge-bare.ts';
import { judgePatchedRun, type PatchedExpectations, transitionTimes } from './judge-patched.ts';
import { isFatal, KernelLog } from './kernel-log.ts';
import type { Ending, MachineRun } from './run-machine.ts';

const bare: BareExpectations = { timeoutSeconds: 5, logPath: 'out/x.bare.log' };

test('bare: the reproducer says that the bug is there', () => {
  assert.equal(judgeBareRun(run({ guest: 'reproducer bare status=1 began=1 ended=2' }), bare), 'status');
});

test('bare: a crash is the bug, and an expected one must name the function', () => {
  const crashed = run({ log: fixture('ext4-oops'), guest: 'step reproduce-bare up=1 boot=b tainted=0' });
  assert.equal(judgeBareRun(crashed, bare), 'crash');
  assert.equal(judgeBareRun(crashed, { ...bare, expectOops: 'ext4_mb_load_buddy_gfp' }), 'crash');
  const [finding] = findings(() => judgeBareRun(crashed, { ...bare, expectOops: 'ext4_put_super' }));
  assert.equal(finding?.code, 'prove-other-oops');
  assert.equal(finding.text, "the bare kernel crashed in 'ext4_mb_load_buddy_gfp', not in 'ext4_put_super'");
});

test('bare: an expected crash that did not come, though the bug is there', () => {
  const present = run({ guest: 'reproducer bare status=1 began=1 ended=2' });
  const [finding] = findings(() => judgeBareRun(present, { ...bare, expectOops: 'f' }));
  assert.equal(finding?.text, "the bare kernel did not crash in 'f': its log has no oops");
});

test('bare: no end in time is the bug, whoever noticed it', () => {
  assert.equal(judgeBareRun(run({ guest: 'reproducer bare timeout' }), bare), 'timeout');
  const stuck = run({ guest: 'step reproduce-bare up=1', ending: { kind: 'hung', limitSeconds: 25 } });
  assert.equal(judgeBareRun(stuck, bare), 'timeout');
  const late = run({ guest: 'reproducer bare status=0', ending: { kind: 'hung', limitSeconds: 60 } });
  assert.equal(judgeBareRun(late, bare), 'timeout');
});

test('bare: a reset without a word is a crash', () => {
  assert.equal(judgeBareRun(run({ guest: '', ending: { kind: 'reset' } }), bare), 'crash');
});

test('bare: a reproducer that passes shows nothing', () => {
  const [finding] = findings(() => judgeBareRun(run({ guest: 'reproducer bare status=0' }), bare));
  assert.equal(finding?.code, 'prove-not-reproduced');
  assert.deepEqual(finding.notes, ['the whole log: out/x.bare.log']);
});

test('bare: other statuses, and a restart, are no results', () => {
  for (const [guest, ending] of [
    ['reproducer bare status=2', { kind: 'finished' }],
    ['step reproduce-bare up=1', { kind: 'restarted' }],
    ['step reproduce-bare up=1', { kind: 'finished' }],
  ] as const) {
    assert.throws(() => judgeBareRun(run({ guest, ending }), bare), isError('prove-reproducer-invalid'));
  }
});

const patched: PatchedExpectations = {
  module: 'kstitch_x',
  nonDestructive: false,
  removable: true,
  timeoutSeconds: 5,
  transitionSeconds: 60,
  logPath: 'out/x.patched.log',
};
const nonDestructive: PatchedExpectations = { ...patched, nonDestructive: true };

const goodLines = {
  load: 'loaded load began=1.0 ended=1.5\nsettled load-transition began=1.5 ended=2.75',
  patched: 'reproducer patched status=0 began=3 ended=4',
  disable: 'settled disable-transition began=4 ended=6',
  unload: 'unloaded unload began=6 ended=6.1',
  reload: 'loaded reload began=7 ended=7.5\nsettled reload-transition began=7.5 ended=8',
  reloaded: 'reproducer reloaded status=0 began=8 ended=9',
};
const good = Object.values(goodLines).join('\n');

test('patched: all as it should be', () => {
  assert.deepEqual(judgePatchedRun(run({ guest: good }), patched), {
    runs: [
      { when: 'patched', bug: 'absent', seconds: 1 },
      { when: 'reloaded', bug: 'absent', seconds: 1 },
    ],
    loads: [
      { insmodSeconds: 0.5, transitionSeconds: 1.25 },
      { insmodSeconds: 0.5, transitionSeconds: 0.5 },
    ],
    disableSeconds: 2,
    reloaded: true,
    splats: [],
  });
});

test('patched: any step left out is no proof', () => {
  for (const name of ['load', 'patched', 'disable', 'unload', 'reload', 'reloaded'] as const) {
    const guest = Object.entries(goodLines)
      .filter(([key]) => key !== name)
      .map(([, lines]) => lines)
      .join('\n');
    const [finding] = findings(() => judgePatchedRun(run({ guest }), patched));
    assert.equal(finding?.code, 'prove-incomplete', name);
  }
});

test('patched: a module that may not be removed is only disabled', () => {
  const guest = [goodLines.load, goodLines.patched, goodLines.disable].join('\n');
  const evidence = judgePatchedRun(run({ guest }), { ...patched, removable: false });
  assert.equal(evidence.reloaded, false);
  assert.equal(evidence.loads.length, 1);
});

test('patched: the bug is still there, at once or after loading again', () => {
  for (const when of ['patched', 'reloaded'] as const) {
    for (const result of ['status=1 began=1 ended=2', 'timeout']) {
      const guest = good.replace(goodLines[when], `reproducer ${when} ${result}`);
      const [finding] = findings(() => judgePatchedRun(run({ guest }), patched));
      assert.equal(finding?.code, 'prove-still-present', `${when} ${result}`);
    }
  }
});

test('patched: a crash under the reproducer is the bug, anywhere else a fault', () => {
  const log = fixture('ext4-oops');
  const [still] = findings(() =>
    judgePatchedRun(run({ log: log.replace('reproduce-bare', 'reproduce-patched') }), patched),
  );
  assert.equal(still?.code, 'prove-still-present');
  assert.equal(still.place.symbol, 'ext4_mb_load_buddy_gfp()');
  const [fault] = findings(() =>
    judgePatchedRun(run({ log: log.replace('reproduce-bare', 'unload') }), patched),
  );
  assert.equal(fault?.code, 'prove-splat');
  assert.match(fault.text, /at step unload: BUG: kernel NULL pointer dereference/);
});

test('patched: a warning is a fault though everything else went well', () => {
  const log = fixture('livepatch-warning');
  const [finding] = findings(() => judgePatchedRun(run({ log, guest: good }), patched));
  assert.equal(finding?.code, 'prove-splat');
  assert.equal(finding.place.symbol, 'replacement()');
});

test('patched: a warning is the bug itself while the livepatch is not in force', () => {
  const log = fixture('livepatch-warning').replace('step reproduce-patched', 'step reproduce-before');
  const guest = `reproducer before status=1\n${good}\nreproducer disabled status=1`;
  const evidence = judgePatchedRun(run({ log, guest }), nonDestructive);
  assert.deepEqual(
    evidence.splats.map(({ kind }) => kind),
    ['warning'],
  );
  assert.deepEqual(
    findings(() => judgePatchedRun(run({ log, guest }), patched)).map(({ code }) => code),
    ['prove-splat'],
  );
});

test('patched: the bug must come back', () => {
  const guest = `reproducer before status=1\n${good}\nreproducer disabled status=0`;
  const [finding] = findings(() => judgePatchedRun(run({ guest }), nonDestructive));
  assert.equal(finding?.code, 'prove-not-restored');
});

test('patched: a reproducer that is not as harmless as said', () => {
  const log = fixture('ext4-oops').replace('reproduce-bare', 'reproduce-before');
  assert.throws(() => judgePatchedRun(run({ log }), nonDestructive), isError('prove-reproducer-invalid'));
  assert.throws(
    () => judgePatchedRun(run({ guest: 'reproducer before timeout' }), nonDestructive),
    isError('prove-reproducer-invalid'),
  );
});

test("patched: a refusal shows insmod's and the kernel's words", () => {
  const guest = "text insmod insmod: can't insert\nrefused load";
  const [finding] = findings(() => judgePatchedRun(run({ log: fixture('load-refused'), guest }), patched));
  assert.equal(finding?.code, 'prove-load-refused');
  assert.equal(finding.notes[0], "insmod: can't insert");
  assert.ok(finding.notes.includes("kernel: livepatch: symbol 'no_such_function' not found in symbol table"));
  assert.ok(!finding.notes.some(note => note.includes('reboot:')), 'words of other steps');
});

test('patched: a transition that does not end shows who is in its way', () => {
  const guest = [
    'stuck load-transition',
    'text blocker 14 ksoftirqd/0',
    'text blocker-stack [<0>] smpboot_thread_fn+0x147/0x1d0',
    'text blocker-stack [<0>] kthread+0xda/0x100',
    'text blocker 101 tail -f',
  ].join('\n');
  const [finding] = findings(() => judgePatchedRun(run({ guest }), patched));
  assert.equal(finding?.code, 'prove-transition-stuck');
  assert.equal(finding.text, 'the transition did not end within 60 s: 2 tasks are in its way');
  assert.deepEqual(finding.notes.slice(0, 2), [
    'ksoftirqd/0 (14): smpboot_thread_fn < kthread',
    'tail -f (101)',
  ]);
});

test('patched: a module that stays, a boot that changes, a step that hangs', () => {
  const stays = run({ guest: 'text rmmod busy\nunremoved unload' });
  assert.deepEqual(
    findings(() => judgePatchedRun(stays, patched)).map(({ code, notes }) => [code, notes[0]]),
    [['prove-unload-failed', 'busy']],
  );
  const other = run({ guest: `step load up=1 boot=one\n${good}\nstep finish up=9 boot=other` });
  assert.match(findings(() => judgePatchedRun(other, patched))[0]?.text ?? '', /its boot id changed/);
  const hung = run({ guest: 'step load up=1 boot=b', ending: { kind: 'hung', limitSeconds: 300 } });
  assert.match(
    findings(() => judgePatchedRun(hung, patched))[0]?.text ?? '',
    /^the patched kernel did not finish: it took more than 300 s at step load$/,
  );
});

test("transitions are timed by the kernel's own stamps", () => {
  const log = [
    "[    9.751600] livepatch: 'x': starting patching transition",
    "[   10.815639] livepatch: 'x': patching complete",
    "[   11.067179] livepatch: 'x': starting unpatching transition",
    "[   12.154924] livepatch: 'x': unpatching complete",
    "[   13.000000] livepatch: 'y': starting patching transition",
    "[   14.000000] livepatch: 'x': patching complete",
  ].join('\n');
  assert.deepEqual(transitionTimes(log, 'x', 'patching'), [1.064039]);
  assert.deepEqual(transitionTimes(log, 'x', 'unpatching'), [1.087745]);
});

function run(parts: { log?: string; guest?: string; ending?: Ending }): MachineRun {
  const kernelLog = new KernelLog();
  kernelLog.push(Buffer.from(parts.log ?? ''));
  kernelLog.end();
  const frames: Frame[] = [];
  const guest = new GuestChannel('n', { onFrame: frame => frames.push(frame), onOutput: () => {} });
  const steps = `step start up=0 boot=${parts.guest?.includes('boot=one') === true ? 'one' : 'b'}`;
  guest.push(
    Buffer.from(
      `${steps}\n${parts.guest ?? ''}\n`.replaceAll(/^(?=.)/gm, '@n ').replaceAll(/(?<=.)$/gm, ' @n'),
    ),
  );
  const crash = kernelLog.splats.find(isFatal);
  return {
    ending: parts.ending ?? (crash === undefined ? { kind: 'finished' } : { kind: 'crashed', splat: crash }),
    step: frames.findLast(({ kind }) => kind === 'step')?.name ?? '',
    frames,
    splats: kernelLog.splats,
    log: parts.log ?? '',
    seconds: 1,
  };
}

function fixture(name: string): string {
  return readFileSync(new URL(`fixtures/${name}.log`, import.meta.url), 'utf8');
}

function findings(work: () => unknown): readonly Diagnostic[] {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error.diagnostics;
    throw error;
  }
  return assert.fail('nothing was refused');
}

function isError(code: KstitchError['code']) {
  return (error: unknown) => error instanceof KstitchError && error.code === code;
}
