import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { KstitchError } from '@kstitch/report/error';
import { attest } from './attest.ts';
import { copyLivepatch, ext4Name, pipeName, recorded } from './fixture-machine.ts';

const enabled = 'sys/kernel/tracing/enabled_functions';
const name = 'ext4_mb_load_buddy_gfp';

test('a livepatch is in force when ftrace leads its functions to livepatch', t => {
  assert.deepEqual(attest(recorded(t, 'active'), ext4Name), {
    verdict: 'attested',
    functions: [{ object: 'vmlinux', name, sympos: 1, state: 'attested' }],
  });
});

test('one that is not active is not attested', t => {
  assert.equal(attest(recorded(t, 'enabling-task'), pipeName), undefined);
  assert.equal(attest(recorded(t, 'disabled'), pipeName), undefined);
  assert.equal(attest(recorded(t, 'bare'), 'x'), undefined);
});

test('without tracefs there is only the word of sysfs', t => {
  assert.equal(
    attest(recorded(t, 'active', { 'sys/kernel/tracing': undefined }), ext4Name)?.verdict,
    'sysfs only',
  );
});

test('so it is where tracefs was opened to everybody, and its files were not', t => {
  const machine = recorded(t, 'active');
  const read = machine.lines.bind(machine);
  machine.lines = (path, limit) => {
    if (!path.endsWith('enabled_functions')) return read(path, limit);
    throw new KstitchError('machine-not-root', `read '${path}': permission denied (EACCES)`);
  };
  assert.equal(attest(machine, ext4Name)?.verdict, 'sysfs only');
});

test('what ftrace does not show, or leads to somebody else, is not in force', t => {
  const verdict = (text: string) => attest(recorded(t, 'active', { [enabled]: text }), ext4Name)?.verdict;
  assert.equal(verdict(''), 'not in force');
  assert.equal(verdict(`${name} (1)      \ttramp: 0x1 (klp_ftrace_handler+0x0/0x1)\n`), 'not in force');
  assert.equal(verdict(`${name} (1)   I  \ttramp: 0x1 (kprobe_ftrace_handler+0x0/0x1)\n`), 'not in force');
  assert.equal(verdict(`${name} [mod] (1)   I  \ttramp: 0x1 (klp_ftrace_handler+0x0/0x1)\n`), 'not in force');
  // 6.12, and a function that several trace: by way of a common handler, which names none of them.
  assert.equal(
    verdict(`${name} (1)   I     \ttramp: 0x1 (klp_ftrace_handler+0x0/0x1) ->klp_ftrace_handler+0x0/0x1\n`),
    'attested',
  );
  assert.equal(verdict(`${name} (2) R I  \n`), 'attested');
});

test('a function with several names is in force under the one that the kernel shows', t => {
  const shown = `${name}_first (1)   I  \ttramp: 0x1 (klp_ftrace_handler+0x0/0x1)\n`;
  const verdict = (kallsyms: string | undefined, sympos = 1) => {
    const machine = recorded(t, 'active', { [enabled]: shown, 'proc/kallsyms': kallsyms });
    const folder = join(machine.root, 'sys/kernel/livepatch', ext4Name, 'vmlinux');
    renameSync(join(folder, `${name},1`), join(folder, `${name},${sympos}`));
    return attest(machine, ext4Name)?.verdict;
  };
  const symbols = (first: string, second: string) =>
    `ffffffff81000010 t ${first}\nffffffff81000010 t ${name}\nffffffff81000020 t ${second}\nffffffff81000020 t ${name}\n`;
  assert.equal(verdict(symbols(`${name}_first`, 'x')), 'attested');
  // Of two functions with its name, the one that it is.
  assert.equal(verdict(symbols('x', `${name}_first`)), 'not in force');
  assert.equal(verdict(symbols('x', `${name}_first`), 2), 'attested');
  // Where addresses are hidden nobody knows.
  const hidden = symbols(`${name}_first`, 'x').replaceAll(/^\w+/gm, '0000000000000000');
  assert.equal(verdict(hidden), 'sysfs only');
  assert.equal(verdict(symbols(`${name}_first\t[ext4]`, 'x')), 'not in force');
  assert.equal(verdict(undefined), 'not in force');
});

test('a later livepatch on the same function shadows the earlier one', t => {
  const machine = recorded(t, 'active');
  copyLivepatch(machine, ext4Name, 'later');
  assert.equal(attest(machine, ext4Name)?.verdict, 'shadowed');
  assert.equal(attest(machine, 'later')?.verdict, 'attested');
  // Also while tasks are still moved to it.
  writeFileSync(join(machine.root, 'sys/kernel/livepatch/later/transition'), '1\n');
  assert.equal(attest(machine, ext4Name)?.verdict, 'shadowed');
});

test('an object that is not loaded waits; the kernel itself always is', t => {
  const patched = `sys/kernel/livepatch/${ext4Name}/nf_tables/patched`;
  const machine = recorded(t, 'active', {
    [patched]: '0\n',
    [`sys/kernel/livepatch/${ext4Name}/nf_tables/nft_do_chain,1/x`]: '',
  });
  assert.equal(attest(machine, ext4Name)?.verdict, 'waiting');
  const broken = recorded(t, 'active', { [`sys/kernel/livepatch/${ext4Name}/vmlinux/patched`]: '0\n' });
  assert.equal(attest(broken, ext4Name)?.verdict, 'not in force');
});
