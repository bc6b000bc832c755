/** Proofs of hand-made livepatches: each works, or fails in one way, and that way is told. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '@kstitch/host/run';
import { parseProof } from '@kstitch/livepatch/proof';
import { type Context, silentContext } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { type TestKit, testKit } from '@kstitch/testkit/kit';
import { findAccelerator } from './accelerator.ts';
import { type ProveRequest, proveLivepatch } from './prove.ts';

const directory = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(directory, { recursive: true, force: true }));

/** Livepatches by name: the function they replace, and what stands in its place. */
const sources = {
  works: ['cmdline_proc_show', 'struct seq_file *m, void *v', 'seq_puts(m, "stitched\\n"); return 0;'],
  warns: [
    'cmdline_proc_show',
    'struct seq_file *m, void *v',
    'WARN(1, "x"); seq_puts(m, "stitched\\n"); return 0;',
  ],
  crashes: ['cmdline_proc_show', 'struct seq_file *m, void *v', '*(volatile int *)8 = 1; return 0;'],
  // Per-processor kernel threads sleep in it.
  sticks: ['smpboot_thread_fn', 'void *data', 'return 0;'],
  unknown: ['no_such_function', 'void *data', 'return 0;'],
} as const;
type Name = keyof typeof sources;

/** `the bug`: the kernel shows its command line. */
const shows = 'cat /proc/cmdline\ngrep -q stitched /proc/cmdline && exit 0\nexit 1\n';

let kit: TestKit;
before(async () => {
  kit = await testKit();
  const modules = join(directory, 'modules');
  mkdirSync(modules);
  for (const [name, [old, parameters, body]] of Object.entries(sources)) {
    writeFileSync(
      join(modules, `kstitch_${name}.c`),
      `#include <linux/module.h>
#include <linux/livepatch.h>
#include <linux/seq_file.h>
static int replacement(${parameters}) { ${body} }
static struct klp_func funcs[] = { { .old_name = "${old}", .new_func = replacement }, { } };
static struct klp_object objects[] = { { .funcs = funcs }, { } };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects, .replace = true };
static int start(void) { return klp_enable_patch(&patch); }
static void stop(void) { }
module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
`,
    );
  }
  const objects = Object.keys(sources).map(name => `kstitch_${name}.o`);
  writeFileSync(join(modules, 'Kbuild'), `obj-m := ${objects.join(' ')}\n`);
  await run('make', ['-C', kit.sourceDirectory, `M=${modules}`, 'modules'], {
    // kbuild listens to many variables.
    onlyEnv: { PATH: process.env['PATH'] ?? '' },
  });
  // Once, so that no test pays for it.
  await findAccelerator(silentContext(), kit.kit.paths.vmlinuz);
});

function prove(name: Name, options: Partial<ProveRequest> = {}, context: Context = silentContext()) {
  const bytes = readFileSync(join(directory, 'modules', `kstitch_${name}.ko`));
  const { paths, release } = kit.kit;
  return proveLivepatch(context, {
    module: {
      path: `kstitch_${name}.ko`,
      name: `kstitch_${name}`,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      bytes,
    },
    removable: true,
    kernel: { release, vmlinuzPath: paths.vmlinuz, modulesDirectory: paths.modulesDirectory },
    reproducer: shows,
    timeoutSeconds: 30,
    nonDestructive: false,
    outputDirectory: directory,
    ...options,
  });
}

test('a livepatch that works: in, out, in again, in one boot', async () => {
  const proof = await prove('works', { nonDestructive: true });
  assert.equal(proof.bare.how, 'status');
  assert.deepEqual(
    proof.patched.runs.map(({ when, bug }) => `${when}: ${bug}`),
    ['before: present', 'patched: absent', 'disabled: present', 'reloaded: absent'],
  );
  assert.equal(proof.patched.loads.length, 2);
  assert.equal(proof.patched.reloaded, true);
  assert.notEqual(proof.bare.bootId, proof.patched.bootId);

  // Taints before and after loading: none; a livepatch (32768), unsigned (8192), from outside (4096).
  const taintedAt = (name: string) => proof.patched.steps.find(step => step.name === name)?.tainted;
  assert.equal(taintedAt('load'), 0);
  assert.equal(taintedAt('finish'), 45056);

  // What is written is what was returned, and the logs are those of these boots.
  assert.deepEqual(
    parseProof(readFileSync(join(directory, 'kstitch_works.proof.json'), 'utf8'), 'proof'),
    proof,
  );
  for (const { log } of [proof.bare, proof.patched]) {
    const text = readFileSync(join(directory, log.file), 'utf8');
    assert.equal(createHash('sha256').update(text).digest('hex'), log.sha256);
  }
  const patchedLog = readFileSync(join(directory, proof.patched.log.file), 'utf8');
  assert.match(patchedLog, /livepatch: 'kstitch_works': patching complete/);
  assert.match(patchedLog, /^guest> stitched$/m);
});

test('a livepatch that may not be removed is only disabled', async () => {
  const proof = await prove('works', { removable: false });
  assert.equal(proof.patched.reloaded, false);
  assert.deepEqual(
    proof.patched.runs.map(({ when }) => when),
    ['patched'],
  );
  const log = readFileSync(join(directory, proof.patched.log.file), 'utf8');
  assert.match(log, /unpatching complete/);
  assert.doesNotMatch(log, /step unload/);
});

test('each run finds a fresh ext4 of its own', async () => {
  const script = `mount -t ext4 "$KSTITCH_DISK" "$KSTITCH_MOUNT" || exit 2
[ -e "$KSTITCH_MOUNT/seen" ] && exit 3
echo x >"$KSTITCH_MOUNT/seen"
${shows}`;
  const proof = await prove('works', { reproducer: script, nonDestructive: true, diskMebibytes: 16 });
  assert.equal(proof.patched.runs.length, 4);
});

test('a livepatch that does not mend the bug', async () => {
  writeFileSync(join(directory, 'kstitch_works.proof.json'), 'of earlier days');
  const finding = await refused(prove('works', { reproducer: 'exit 1\n' }));
  assert.equal(finding.code, 'prove-still-present');
  assert.ok(!existsSync(join(directory, 'kstitch_works.proof.json')), 'the old proof is still there');
});

test('a reproducer that hangs shows the bug, on both kernels', async () => {
  const finding = await refused(prove('works', { reproducer: 'sleep 1000\n', timeoutSeconds: 2 }));
  assert.equal(finding.code, 'prove-still-present');
  assert.match(finding.text, /did not end within 2 s/);
  // The kernel was asked who waits for what.
  assert.match(readFileSync(join(directory, 'kstitch_works.bare.log'), 'utf8'), /sysrq: Show Blocked State/);
});

test('a reproducer that passes on the bare kernel', async () => {
  assert.equal((await refused(prove('works', { reproducer: 'exit 0\n' }))).code, 'prove-not-reproduced');
});

test('a crash of the bare kernel elsewhere than expected', async () => {
  const reproducer = 'grep -q stitched /proc/cmdline && exit 0\necho c >/proc/sysrq-trigger\n';
  assert.equal(
    (await refused(prove('works', { reproducer, expectOops: 'vfs_read' }))).code,
    'prove-other-oops',
  );
  assert.equal((await prove('works', { reproducer })).bare.how, 'crash');
});

test('a reproducer that is none', async () => {
  await assert.rejects(
    prove('works', { reproducer: 'no_such_program\nexit 127\n' }),
    isError('prove-reproducer-invalid', /it ended with status 127/),
  );
  assert.match(
    readFileSync(join(directory, 'kstitch_works.bare.log'), 'utf8'),
    /^guest> .*no_such_program.*not found/m,
  );
});

test('a livepatch that the kernel refuses', async () => {
  const finding = await refused(prove('unknown'));
  assert.equal(finding.code, 'prove-load-refused');
  assert.ok(finding.notes.some(note => note.includes("symbol 'no_such_function' not found in symbol table")));
});

test('a transition that never ends', async () => {
  const finding = await refused(prove('sticks', { transitionSeconds: 4 }));
  assert.equal(finding.code, 'prove-transition-stuck');
  assert.ok(
    finding.notes.some(note => /^ksoftirqd\/0 \(\d+\): smpboot_thread_fn/.test(note)),
    finding.notes.join('\n'),
  );
});

test('a livepatch that warns, and one that crashes', async () => {
  const warns = await refused(prove('warns'));
  assert.equal(warns.code, 'prove-splat');
  assert.equal(warns.place.symbol, 'replacement()');
  const crashes = await refused(prove('crashes'));
  assert.equal(crashes.code, 'prove-still-present');
  assert.equal(crashes.place.symbol, 'replacement()');
});

test('a module for another kernel is refused before anything is booted', async () => {
  const { paths } = kit.kit;
  const kernel = {
    release: '6.1.0-56-cloud-amd64',
    vmlinuzPath: paths.vmlinuz,
    modulesDirectory: '/nowhere',
  };
  await assert.rejects(
    prove('works', { kernel }),
    isError('prove-module-foreign', /not for '6\.1\.0-56-cloud-amd64'/),
  );
});

test('an interrupt ends both machines and leaves nothing behind', async () => {
  const controller = new AbortController();
  const temporary = join(directory, 'temporary');
  mkdirSync(temporary);
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = temporary;
  try {
    let machines: string[] = [];
    let interrupted = 0;
    const context: Context = {
      ...silentContext(controller.signal),
      progress: {
        note: () => {},
        step: (_label, work) =>
          work(detail => {
            if (detail !== 'running the reproducer') return;
            machines = machinesIn(temporary);
            interrupted = performance.now();
            controller.abort();
          }),
      },
    };
    const output = join(directory, 'interrupted');
    mkdirSync(output);
    await assert.rejects(
      prove('works', { reproducer: 'sleep 1000\n', outputDirectory: output }, context),
      isError('interrupted', /./),
    );
    assert.ok(machines.length > 0, 'no machine was running');
    // Far less than the reproducer's limit, at which the machines would end by themselves.
    assert.ok(performance.now() - interrupted < 10_000, 'the machines were waited for');
    assert.deepEqual(machinesIn(temporary), []);
    assert.deepEqual(readdirSync(temporary), []);
    assert.deepEqual(readdirSync(output), []);
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  }
});

/** Processes whose command line names the folder. */
function machinesIn(folder: string): string[] {
  return readdirSync('/proc').filter(entry => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      return readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes(folder);
    } catch {
      return false;
    }
  });
}

async function refused(proof: Promise<unknown>) {
  const error = await proof.then(
    () => assert.fail('it was proven'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof Refusal)) throw error;
  return error.diagnostics[0]!;
}

function isError(code: KstitchError['code'], text: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof KstitchError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  };
}
