import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Bundle } from '@kstitch/livepatch/bundle';
import { missingCompiler } from '@kstitch/testkit/compile';
import {
  type Edits,
  ext4Name,
  moduleFor,
  pipeName,
  type Recording,
  recorded,
  recordOf,
} from './fixture-machine.ts';
import { readKernelIdentity } from './kernel-identity.ts';
import { type PreflightRequest, preflight } from './preflight.ts';

const skip = missingCompiler;
const GIB = 1024 ** 3;

interface Trial {
  readonly recording?: Recording;
  readonly edits?: Edits;
  readonly bundle?: Bundle;
  readonly others?: readonly Bundle[];
  readonly request?: Partial<PreflightRequest>;
  readonly signed?: boolean;
}

async function findings(t: TestContext, trial: Trial = {}) {
  const { recording = 'bare', edits = {}, others = [] } = trial;
  const { module, bundle } = moduleFor(trial.bundle ?? recordOf('ext4'));
  const machine = recorded(t, recording, edits);
  const trailer = Buffer.alloc(12);
  trailer.writeUInt32BE(3, 8);
  const signature = Buffer.concat([
    Buffer.from('sig'),
    trailer,
    Buffer.from('~Module signature appended~\n'),
  ]);
  return await preflight(machine, readKernelIdentity(machine), {
    bundle,
    module: trial.signed === true ? Buffer.concat([module, signature]) : module,
    drop: [],
    freeDisk: GIB,
    bundleOf: name => Promise.resolve(others.find(other => other.module === name)),
    ...trial.request,
  });
}

async function codes(t: TestContext, trial: Trial = {}) {
  return (await findings(t, trial)).map(({ code }) => code);
}

test('a livepatch for the running kernel passes', { skip }, async t => {
  assert.deepEqual(await codes(t), []);
  assert.deepEqual(await codes(t, { bundle: recordOf('pipe') }), []);
});

test('another release or another build of it is refused, whatever else there is to say', {
  skip,
}, async t => {
  const { kernel } = recordOf('ext4');
  const other = { ...kernel, release: '6.1.0-56-cloud-amd64' };
  const edits = { 'proc/sys/kernel/ftrace_enabled': '0\n' };
  assert.deepEqual(await codes(t, { bundle: recordOf('ext4', { kernel: other }), edits }), [
    'load-other-kernel',
  ]);
  const rebuilt = { ...kernel, buildId: kernel.buildId.replace(/^../, '00') };
  const [finding] = await findings(t, { bundle: recordOf('ext4', { kernel: rebuilt }) });
  assert.equal(finding?.code, 'load-other-kernel');
  assert.match(finding.text, /its build id is 'be80279b[0-9a-f]+', the livepatch is for '0080279b/);
  const edited = { 'sys/kernel/notes': undefined };
  assert.deepEqual(await codes(t, { edits: edited }), ['load-other-kernel']);
});

test('module and record belong together', { skip }, async t => {
  const bundle = recordOf('ext4');
  const { module } = moduleFor(bundle);
  assert.deepEqual(await codes(t, { request: { module: module.subarray(1) } }), ['load-module-changed']);
  for (const modinfo of [['name=other', 'livepatch=Y'], [`name=${bundle.module}`], []]) {
    const foreign = moduleFor(bundle, modinfo);
    assert.deepEqual(await codes(t, { request: foreign }), ['load-module-foreign']);
  }
});

test('the sha256 of a record is that of the module without its signature', { skip }, async t => {
  assert.deepEqual(await codes(t, { signed: true }), []);
});

test('an unsigned module is refused where the kernel would refuse it', { skip }, async t => {
  const enforce = { 'sys/module/module/parameters/sig_enforce': 'Y\n' };
  const lockdown = { 'sys/kernel/security/lockdown': 'none [integrity] confidentiality\n' };
  for (const edits of [enforce, lockdown]) {
    assert.deepEqual(await codes(t, { edits }), ['load-unsigned']);
    assert.deepEqual(await codes(t, { edits, signed: true }), []);
  }
});

test('sysctls that forbid it are named', { skip }, async t => {
  const edits = { 'proc/sys/kernel/modules_disabled': '1\n', 'proc/sys/kernel/ftrace_enabled': '0\n' };
  assert.deepEqual(await codes(t, { edits }), ['load-modules-disabled', 'load-ftrace-off']);
});

test('a function that ftrace cannot reach is refused', { skip }, async t => {
  const edits = { 'sys/kernel/tracing/available_filter_functions': 'ext4_mb_load_buddy_gfp [ext4]\nx\n' };
  assert.deepEqual(await codes(t, { edits }), ['load-function-missing']);
});

test('a function with several names is looked for by the one that the kernel shows', { skip }, async t => {
  const other = {
    'sys/kernel/tracing/available_filter_functions': 'first_name\nx\n',
    'proc/kallsyms': `ffffffff81000010 t first_name\nffffffff81000010 t ext4_mb_load_buddy_gfp\n`,
  };
  assert.deepEqual(await codes(t, { edits: other }), []);
  const taken = 'first_name (1)   I  \ttramp: 0x1 (kprobe_ftrace_handler+0x0/0x1)\n';
  const probe = 'ffffffff81000015  k  first_name+0x5    \n';
  assert.deepEqual(await codes(t, { edits: { ...other, 'sys/kernel/tracing/enabled_functions': taken } }), [
    'load-function-taken',
  ]);
  assert.deepEqual(await codes(t, { edits: { ...other, 'sys/kernel/debug/kprobes/list': probe } }), [
    'load-kprobe-inside',
  ]);
});

test('functions of modules that are not loaded are not asked for', { skip }, async t => {
  const { objects } = recordOf('ext4');
  const more = [...objects, { ...(objects[0] as (typeof objects)[0]), name: 'nf_tables' }];
  assert.deepEqual(await codes(t, { bundle: recordOf('ext4', { objects: more }) }), []);
});

test('without tracefs it is a caution', { skip }, async t => {
  assert.deepEqual(await codes(t, { edits: { 'sys/kernel/tracing': undefined } }), ['load-tracefs-missing']);
});

const enabled = 'sys/kernel/tracing/enabled_functions';

test('a function that somebody else redirects is refused, one with a BPF program is a caution', {
  skip,
}, async t => {
  const line = (flags: string, rest: string) => ({
    [enabled]: `ext4_mb_load_buddy_gfp (1)${flags}\t${rest}\n`,
  });
  assert.deepEqual(await codes(t, { edits: line(' R I  ', 'tramp: 0x1 (kprobe_ftrace_handler+0x0/0x1)') }), [
    'load-function-taken',
  ]);
  assert.deepEqual(await codes(t, { edits: line('   I  ', 'tramp: 0x1 (klp_ftrace_handler+0x0/0x1)') }), []);
  assert.deepEqual(await codes(t, { edits: { [enabled]: 'ext4_mb_load_buddy_gfp (2) R I  \n' } }), [
    'load-function-taken',
  ]);
  const direct = line('     D', 'tramp: 0x1 (x+0x0/0x1)\n\tdirect-->bpf_trampoline_1+0x0/0x1');
  assert.deepEqual(await codes(t, { edits: direct }), ['load-function-direct']);
  assert.deepEqual(await codes(t, { edits: { [enabled]: 'vfs_read (1) R I D\tx\n' } }), []);
});

test('where several trace a function that a livepatch has, the redirection is that livepatch', {
  skip,
}, async t => {
  const trial = {
    recording: 'active',
    edits: { [enabled]: 'ext4_mb_load_buddy_gfp (2) R I  \n' },
    bundle: recordOf('ext4', { module: 'kstitch_newer' }),
    others: [recordOf('ext4')],
  } as const;
  assert.deepEqual(await codes(t, trial), []);
});

test('a kprobe inside of a function is a caution, one at its entry is none', { skip }, async t => {
  const [finding, ...more] = await findings(t, { recording: 'kprobes' });
  assert.deepEqual(more, []);
  assert.equal(finding?.code, 'load-kprobe-inside');
  assert.deepEqual(finding.place, { object: 'vmlinux', symbol: 'ext4_mb_load_buddy_gfp', offset: 5 });
});

test('replacing a livepatch needs everything that it mends, or leave', { skip }, async t => {
  const active = { recording: 'active', bundle: recordOf('pipe') } as const;
  const theirs = recordOf('ext4', { cves: ['CVE-2026-0001'] });
  const [lost] = await findings(t, { ...active, others: [theirs] });
  assert.equal(lost?.code, 'load-drops-livepatch');
  assert.equal(
    lost.text,
    `'${pipeName}' replaces '${ext4Name}', and lacks its patch 'ext4.patch' (CVE-2026-0001)`,
  );
  assert.deepEqual(await codes(t, { ...active, others: [theirs], request: { drop: [ext4Name] } }), []);

  const [foreign] = await findings(t, active);
  assert.match(foreign?.text ?? '', /which kstitch did not load/);

  const both = recordOf('pipe', { patches: [...recordOf('ext4').patches, ...recordOf('pipe').patches] });
  assert.deepEqual(await codes(t, { ...active, bundle: both, others: [theirs] }), []);
  const [vmlinux] = theirs.objects;
  const callbacks = [{ kind: 'post_patch', name: 'x', unit: 'x.c' }] as const;
  const called = recordOf('ext4', { objects: [{ ...vmlinux, callbacks } as Bundle['objects'][0]] });
  assert.deepEqual(await codes(t, { ...active, bundle: both, others: [called] }), ['load-drops-livepatch']);
});

test('a livepatch that replaces none may stand beside others, not on their functions', { skip }, async t => {
  const beside = recordOf('pipe', { replace: false });
  assert.deepEqual(await codes(t, { recording: 'active', bundle: beside }), []);
  const over = recordOf('ext4', { replace: false, module: 'kstitch_other' });
  const [finding] = await findings(t, { recording: 'active', bundle: over });
  assert.equal(finding?.code, 'load-drops-livepatch');
  assert.match(finding.text, /overrides ext4_mb_load_buddy_gfp\(\) of/);
  assert.deepEqual(await codes(t, { recording: 'active', bundle: over, others: [recordOf('ext4')] }), []);
});

test('system states may not go back', { skip }, async t => {
  const patches = [...recordOf('ext4').patches, ...recordOf('pipe').patches];
  const state = (id: number, version: number) => [{ id, version, unit: 'x.c' }];
  const judge = (own: Bundle['states'], replace: boolean) =>
    codes(t, {
      recording: 'active',
      bundle: recordOf('pipe', { patches, states: own, replace }),
      others: [recordOf('ext4', { states: state(7, 2) })],
      request: { drop: [ext4Name] },
    });
  assert.deepEqual(await judge(state(7, 2), true), []);
  assert.deepEqual(await judge(state(7, 1), true), ['load-state-older']);
  assert.deepEqual(await judge([], true), ['load-state-older']);
  assert.deepEqual(await judge([], false), []);
  assert.deepEqual(await judge(state(7, 1), false), ['load-state-older']);
});

test('a transition that goes on is waited for by trying again, and comes behind what is refused', {
  skip,
}, async t => {
  const trial = { recording: 'enabling-task', bundle: recordOf('kthreadd') } as const;
  const request = { drop: [ext4Name, pipeName] };
  assert.deepEqual(await codes(t, { ...trial, request }), ['transition-busy']);
  assert.deepEqual((await codes(t, trial)).at(-1), 'transition-busy');
});

test('too little memory or disk is told before anything is written', { skip }, async t => {
  assert.deepEqual(await codes(t, { request: { freeDisk: 1000 } }), ['load-disk-low']);
  assert.deepEqual(await codes(t, { edits: { 'proc/meminfo': 'MemAvailable:    2048 kB\n' } }), [
    'load-memory-low',
  ]);
});
