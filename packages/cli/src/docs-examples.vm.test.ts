/** The examples of docs/patch-authors.md: each is built and proven as the guide says. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type BuildResult, buildLivepatch } from '@kstitch/build/build-livepatch';
import { silentContext } from '@kstitch/report/context';
import { type TestKit, testKit, testRelease } from '@kstitch/testkit/kit';
import { findAccelerator } from '@kstitch/vm/accelerator';
import { bootOnce } from '@kstitch/vm/boot-once';
import type { GuestKernel } from '@kstitch/vm/guest-kernel';
import { proveLivepatch } from '@kstitch/vm/prove';

const examples = new URL('../../../docs/examples/', import.meta.url);
const guide = readFileSync(new URL('../patch-authors.md', examples), 'utf8');
const outputDirectory = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(outputDirectory, { recursive: true, force: true }));

interface Example {
  /** Of `NAME.patch` and `NAME.sh`. */
  readonly name: string;
  /** Patches that go before it. */
  readonly on?: readonly string[];
  readonly modules?: readonly string[];
  /** `object: kind or function`, in the order of the bundle. */
  readonly holds: readonly string[];
  /** `id version` */
  readonly states: readonly string[];
}

const shadowed = ['shmem_show_options', 'shmem_put_super', 'shmem_mknod', 'shmem_fill_super'];
const pipeCallbacks = ['vmlinux: pre_patch', 'vmlinux: post_patch', 'vmlinux: pre_unpatch'];
const all: readonly Example[] = [
  {
    name: 'transition',
    holds: ['vmlinux: cmdline_proc_show', 'vmlinux: post_patch', 'vmlinux: pre_unpatch'],
    states: [],
  },
  { name: 'callbacks', holds: ['vmlinux: post_patch', 'vmlinux: pre_unpatch'], states: [] },
  {
    name: 'module-callbacks',
    modules: ['overlay'],
    holds: ['overlay: pre_patch', 'overlay: post_unpatch'],
    states: [],
  },
  {
    name: 'shadow-variable',
    holds: [...shadowed.map(name => `vmlinux: ${name}`), 'vmlinux: post_unpatch'],
    states: ['0x6b730001 1'],
  },
  { name: 'system-state', holds: pipeCallbacks, states: ['0x6b730002 1'] },
  { name: 'system-state-next', on: ['system-state'], holds: pipeCallbacks, states: ['0x6b730002 2'] },
];

let kit: TestKit;
let kernel: GuestKernel;
before(async () => {
  kit = await testKit();
  const { vmlinuz, modulesDirectory } = kit.kit.paths;
  kernel = { release: kit.release, vmlinuzPath: vmlinuz, modulesDirectory };
  // Once, so that no test pays for it.
  await findAccelerator(silentContext(), vmlinuz);
});

async function build({ name, on = [] }: Example): Promise<BuildResult> {
  const patches = [...on, name].map(each => ({
    name: `${each}.patch`,
    bytes: readFileSync(new URL(`${each}.patch`, examples)),
  }));
  return await buildLivepatch(silentContext(), { patches, release: testRelease, name, outputDirectory });
}

function exampleCalled(name: string): Example {
  const example = all.find(each => each.name === name);
  assert.ok(example !== undefined);
  return example;
}

test('the guide shows every example, and every example is tested', () => {
  const names = readdirSync(examples).map(file => file.replace(/\.(patch|sh)$/, ''));
  assert.deepEqual([...new Set(names)].toSorted(), all.map(({ name }) => name).toSorted());
  for (const { name } of all) {
    assert.ok(guide.includes(`examples/${name}.patch`), name);
    assert.ok(guide.includes(`examples/${name}.sh`), name);
    // What the guide shows of a patch is what is built.
    for (const [, shown] of guide.matchAll(
      new RegExp(`<!-- ${name}\\.patch -->\\n\`\`\`c\\n([^]*?)\`\`\``, 'g'),
    ))
      assert.ok(addedLines(name).includes(shown ?? ''), `the guide's ${name}:\n${shown}`);
  }
});

function addedLines(name: string): string {
  const patch = readFileSync(new URL(`${name}.patch`, examples), 'utf8');
  return patch
    .split('\n')
    .filter(line => line.startsWith('+') && !line.startsWith('+++'))
    .map(line => `${line.slice(1)}\n`)
    .join('');
}

for (const example of all) {
  test(`docs/examples/${example.name}.patch is built and proven`, async () => {
    const { modulePath, bundle } = await build(example);
    assert.deepEqual(
      bundle.objects
        .flatMap(({ name, functions, callbacks }) =>
          [...functions.map(f => f.name), ...callbacks.map(({ kind }) => kind)].map(
            what => `${name}: ${what}`,
          ),
        )
        .toSorted(),
      example.holds.toSorted(),
    );
    assert.deepEqual(
      bundle.states.map(({ id, version }) => `0x${id.toString(16)} ${version}`),
      example.states,
    );
    // Else the proof below could not show what is left behind when the livepatch goes.
    assert.deepEqual(bundle.unload, { verdict: 'safe', reasons: [] });

    const proof = await proveLivepatch(silentContext(), {
      module: {
        path: modulePath,
        name: bundle.module,
        sha256: bundle.sha256,
        bytes: readFileSync(modulePath),
      },
      removable: true,
      kernel,
      reproducer: readFileSync(new URL(`${example.name}.sh`, examples), 'utf8'),
      timeoutSeconds: 60,
      nonDestructive: true,
      ...(example.modules === undefined ? {} : { modules: example.modules }),
      outputDirectory,
    });
    assert.deepEqual(
      proof.patched.runs.map(({ when, bug }) => `${when}: ${bug}`),
      ['before: present', 'patched: absent', 'disabled: present', 'reloaded: absent'],
    );
  });
}

test('a livepatch with a later version of a state takes it over, and no earlier one takes it back', async () => {
  const first = await build(exampleCalled('system-state'));
  const next = await build(exampleCalled('system-state-next'));
  const { output, log, splats } = await bootOnce(silentContext(), {
    kernel,
    files: [
      { path: '/first.ko', bytes: readFileSync(first.modulePath) },
      { path: '/next.ko', bytes: readFileSync(next.modulePath) },
    ],
    script: `
      limit() { echo "$1: $(cat /proc/sys/fs/pipe-max-size)"; }
      busy() { grep -qs 1 /sys/kernel/livepatch/*/transition; }
      settle() { while busy; do usleep 20000; done; }
      remove() { until rmmod "$1"; do usleep 100000; done; }
      echo 524288 >/proc/sys/fs/pipe-max-size
      limit bare
      insmod /first.ko && settle && limit first
      insmod /next.ko && settle && limit next
      remove ${first.bundle.module}
      insmod /first.ko || limit 'first again, refused'
      echo 0 >/sys/kernel/livepatch/${next.bundle.module}/enabled
      while [ -e /sys/kernel/livepatch/${next.bundle.module} ]; do usleep 20000; done
      limit disabled`,
    timeoutSeconds: 60,
  });
  assert.deepEqual(Buffer.from(output).toString().trimEnd().split('\n'), [
    'bare: 524288',
    'first: 65536',
    'next: 131072',
    'first again, refused: 131072',
    'disabled: 524288',
  ]);
  assert.match(
    log,
    new RegExp(`\\(${first.bundle.module}\\) is not compatible with the already installed livepatches`),
  );
  assert.deepEqual(splats, []);
});
