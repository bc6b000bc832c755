/** The logs in fixtures/ were recorded from real boots; long ones are cut down to one report. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { baseFunctionName, KernelLog, type Splat, splitTimeStamp } from './kernel-log.ts';

test('an oops in a worker: function, step, and what is certain of its trace', () => {
  const [splat, ...others] = splatsOf(fixture('ext4-oops'));
  assert.deepEqual(others, []);
  assert.equal(splat?.kind, 'oops');
  assert.equal(splat.headline, 'BUG: kernel NULL pointer dereference, address: 0000000000000000');
  assert.equal(splat.function, 'ext4_mb_load_buddy_gfp');
  assert.equal(splat.step, 'reproduce-bare');
  assert.deepEqual(splat.trace.slice(0, 3), [
    'ext4_mb_regular_allocator',
    'ext4_mb_new_blocks',
    'ext4_ext_map_blocks',
  ]);
  assert.ok(!splat.trace.includes('ext4_find_extent'), 'that line begins with ?');
});

test('a warning names the function it stands in', () => {
  assert.deepEqual(brief('livepatch-warning'), [['warning', 'replacement', 'reproduce-patched']]);
});

test('a task that is stuck, a processor that is stuck: one report each', () => {
  assert.deepEqual(brief('hung-task'), [['hung-task', undefined, 'script']]);
  assert.deepEqual(brief('lockup-and-stall'), [
    ['lockup', 'delay_tsc', 'script'],
    ['rcu-stall', 'delay_tsc', 'script'],
  ]);
});

test('a panic of 6.12', () => {
  assert.deepEqual(brief('sysrq-panic'), [['panic', undefined, 'crash']]);
});

test('a livepatch that is refused is no splat', () => {
  assert.deepEqual(brief('load-refused'), []);
});

test('reports that begin in one line and get graver in another', () => {
  const log = [
    '[    1.0] ------------[ cut here ]------------',
    '[    1.1] kernel BUG at fs/ext4/inode.c:12!',
    '[    1.2] invalid opcode: 0000 [#1] PREEMPT SMP PTI',
    '[    1.3] RIP: 0010:ext4_foo.isra.0.cold+0x1/0x2',
    '[    1.4] ---[ end trace 0000000000000000 ]---',
    '[    1.5] Kernel panic - not syncing: Fatal exception in interrupt',
  ].join('\n');
  const [splat, ...others] = splatsOf(log);
  assert.deepEqual(others, []);
  assert.deepEqual(
    [splat?.kind, splat?.headline, splat?.function],
    ['oops', 'kernel BUG at fs/ext4/inode.c:12!', 'ext4_foo.isra.0.cold'],
  );
});

test('heads of kinds that are not among the recorded logs', () => {
  const kinds: Readonly<Record<string, Splat['kind']>> = {
    'general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] PREEMPT SMP':
      'oops',
    'Oops: general protection fault, kernel NULL pointer dereference 0x1: 0000 [#1] SMP': 'oops',
    'BUG: scheduling while atomic: kworker/0:1/12/0x00000002': 'bug',
    'BUG: Bad page state in process cat  pfn:12345': 'bug',
    'UBSAN: array-index-out-of-bounds in fs/a.c:1:2': 'warning',
    'rcu: INFO: rcu_sched detected stalls on CPUs/tasks:': 'rcu-stall',
    'NMI watchdog: Watchdog detected hard LOCKUP on cpu 1': 'lockup',
    'Watchdog detected hard LOCKUP on cpu 1': 'lockup',
  };
  for (const [head, kind] of Object.entries(kinds)) {
    assert.deepEqual(
      splatsOf(`[    1.0] ${head}\n`).map(splat => splat.kind),
      [kind],
      head,
    );
  }
});

test('a call trace that nothing announced is a splat, unless sysrq was asked for it', () => {
  const trace = '[    2.0] Call Trace:\n[    2.1]  f+0x1/0x2\n';
  assert.deepEqual(
    splatsOf(`[    1.0] cat: page allocation failure: order:4\n${trace}`).map(({ kind, headline }) => [
      kind,
      headline,
    ]),
    [['trace', 'Call Trace:']],
  );
  assert.deepEqual(splatsOf(`[    1.0] kstitch: step timeout-bare\n${trace}`), []);
});

test('what a program does is not the kernel: a RIP in user space', () => {
  const log = '[    1.0] BUG: Bad rss-counter state\n[    1.1] RIP: 0033:0x47fbe9\n';
  assert.equal(splatsOf(log)[0]?.function, undefined);
});

test('however the bytes are cut, the result is the same', () => {
  const log = readFileSync(new URL('fixtures/ext4-oops.log', import.meta.url));
  const expected = splatsOf(log.toString());
  fc.assert(
    fc.property(fc.array(fc.nat(log.length), { maxLength: 20 }), cuts => {
      const places = [0, ...cuts.toSorted((a, b) => a - b), log.length];
      const lines: string[] = [];
      const parser = new KernelLog(line => lines.push(line));
      places.slice(1).forEach((end, index) => parser.push(log.subarray(places[index], end)));
      parser.end();
      assert.deepEqual(parser.splats, expected);
      assert.equal(`${lines.join('\n')}\n`, log.toString());
    }),
    { numRuns: 50 },
  );
});

test('no bytes make the parser fail', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), bytes => {
      const log = new KernelLog();
      log.push(bytes);
      log.end();
    }),
  );
});

test('time stamps with and without the caller', () => {
  assert.deepEqual(splitTimeStamp('[    6.402214] text'), { seconds: 6.402214, text: 'text' });
  assert.deepEqual(splitTimeStamp('[    6.402214][  T123]  <TASK>'), { seconds: 6.402214, text: ' <TASK>' });
  assert.deepEqual(splitTimeStamp('text'), { seconds: undefined, text: 'text' });
});

test('copies and parts of a function are the function', () => {
  assert.equal(baseFunctionName('f.isra.0.cold'), 'f');
  assert.equal(baseFunctionName('f.constprop.12'), 'f');
  assert.equal(baseFunctionName('cold.f'), 'cold.f');
});

function fixture(name: string): string {
  return readFileSync(new URL(`fixtures/${name}.log`, import.meta.url), 'utf8');
}

function splatsOf(text: string): readonly Splat[] {
  const log = new KernelLog();
  log.push(Buffer.from(text));
  log.end();
  return log.splats;
}

function brief(name: string) {
  return splatsOf(fixture(name)).map(splat => [splat.kind, splat.function, splat.step]);
}
