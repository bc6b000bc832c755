/** What the author of a patch asks for with kstitch.h, from the source to the module. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readElf } from '@kstitch/elf/read';
import { inspectLivepatch } from '@kstitch/livepatch/inspect';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { testRelease } from '@kstitch/testkit/kit';
import { type BuildResult, buildLivepatch } from './build-livepatch.ts';

const outputDirectory = await mkdtemp(join(tmpdir(), 'kstitch-build-test-'));
after(() => rm(outputDirectory, { recursive: true, force: true }));

/** A small unit of vmlinux, with `text` at its end. */
async function build(path: string, last: string, text: string): Promise<BuildResult> {
  const patch = await editPatch(path, last, `${last}\n#include "kstitch.h"\n${text}`);
  return await buildLivepatch(silentContext(), {
    patches: [{ name: 'a.patch', bytes: Buffer.from(patch, 'latin1') }],
    release: testRelease,
    name: 'test',
    outputDirectory,
  });
}

const cmdline = (text: string) => build('fs/proc/cmdline.c', 'fs_initcall(proc_cmdline_init);\n', text);

async function refusal(result: Promise<BuildResult>): Promise<KstitchError> {
  const error = await result.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof KstitchError, String(error));
  return error;
}

const callback = (name: string) => `static void ${name}(struct klp_object *obj) { pr_info("${name}\\n"); }\n`;

test('callbacks and a state make a livepatch that patches no function', async () => {
  const { bundle, modulePath } = await cmdline(
    `${callback('begin')}KSTITCH_POST_PATCH(begin);\nKSTITCH_PRE_UNPATCH(begin);\n#define STATE 7\nKSTITCH_STATE(STATE, 2);\n`,
  );
  const unit = 'fs/proc/cmdline.c';
  assert.deepEqual(
    bundle.objects.map(({ callbacks, ...object }) => ({
      ...object,
      callbacks: callbacks.toSorted((a, b) => (a.kind < b.kind ? -1 : 1)),
    })),
    [
      {
        name: 'vmlinux',
        functions: [],
        callbacks: [
          { kind: 'post_patch', name: 'begin', unit },
          { kind: 'pre_unpatch', name: 'begin', unit },
        ],
      },
    ],
  );
  assert.deepEqual(bundle.states, [{ id: 7, version: 2, unit }]);
  assert.deepEqual(bundle.newSymbols, [{ name: 'begin', unit, kind: 'function' }]);

  const module = await readFile(modulePath);
  assert.deepEqual(inspectLivepatch(module, 'a.ko').patch, {
    objects: [
      {
        name: 'vmlinux',
        functions: [],
        callbacks: [
          { kind: 'post_patch', name: 'begin' },
          { kind: 'pre_unpatch', name: 'begin' },
        ],
      },
    ],
    states: [{ id: 7, version: 2 }],
    replace: true,
  });
  // The records themselves do not stay.
  const { sections, symbols } = readElf(module, 'a.ko');
  const left = [...sections, ...symbols]
    .map(({ name }) => name)
    .filter(name => /\.kstitch|__kstitch/.test(name));
  assert.deepEqual(left, []);
});

test('a state alone makes a livepatch', async () => {
  const { bundle } = await cmdline('KSTITCH_STATE(1, 0);\n');
  assert.deepEqual(bundle.objects, [{ name: 'vmlinux', functions: [], callbacks: [] }]);
  assert.deepEqual(bundle.states, [{ id: 1, version: 0, unit: 'fs/proc/cmdline.c' }]);
});

test('new code refers to the livepatch itself', async () => {
  const { bundle } = await cmdline(
    'static int f(struct klp_object *o) { return klp_get_state(&kstitch_patch, 3) ? 0 : -ENOENT; }\nKSTITCH_PRE_PATCH(f);\nKSTITCH_STATE(3, 1);\n',
  );
  assert.deepEqual(bundle.references, []);
  assert.deepEqual(
    bundle.exportedSymbols.filter(name => name.startsWith('k')),
    ['klp_get_state'],
  );
});

test('an object has one callback of a kind', async () => {
  const error = await refusal(
    cmdline(`${callback('a')}KSTITCH_POST_PATCH(a);\n${callback('b')}KSTITCH_POST_PATCH(b);\n`),
  );
  assert.equal(error.code, 'callback-twice');
  assert.match(
    error.message,
    /'vmlinux' has two post_patch callbacks: [ab]\(\) in fs\/proc\/cmdline\.c and [ab]\(\) in/,
  );
});

test('a livepatch has one version of a state', async () => {
  const error = await refusal(cmdline('KSTITCH_STATE(1, 1);\nKSTITCH_STATE(1, 2);\n'));
  assert.equal(error.code, 'state-twice');
});

test('the compiler refuses a callback of another type and a state without a number', async () => {
  const wrong = await refusal(cmdline(`${callback('begin')}KSTITCH_PRE_PATCH(begin);\n`));
  assert.equal(wrong.code, 'compile-error');
  assert.match(`${wrong.message} ${wrong.notes.join(' ')}`, /incompatible pointer type/);
  const zero = await refusal(cmdline('KSTITCH_STATE(0, 1);\n'));
  assert.match(
    `${zero.message} ${zero.notes.join(' ')}`,
    /the id of a state is a number from 1 to 0xffffffff/,
  );
});
