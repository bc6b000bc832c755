/** Livepatches of several units: a changed header, new globals that units share, patches on top of patches. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readElf } from '@kstitch/elf/read';
import { parseBundle } from '@kstitch/livepatch/bundle';
import { silentContext } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { testKit, testRelease } from '@kstitch/testkit/kit';
import { type BuildRequest, buildLivepatch } from './build-livepatch.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-many-units-'));
after(() => rm(work, { recursive: true, force: true }));
await testKit();

const patchOf = (name: string, text: string) => ({ name, bytes: Buffer.from(text, 'latin1') });

async function build(folder: string, request: Pick<BuildRequest, 'patches' | 'on' | 'maxUnits'>) {
  const outputDirectory = join(work, folder);
  return await buildLivepatch(silentContext(), {
    release: testRelease,
    name: 'test',
    outputDirectory,
    ...request,
  });
}

/** A variable and a function of one unit that another unit uses, declared in a header that twenty units include. */
const shared = patchOf(
  'shared.patch',
  [
    await editPatch(
      'fs/proc/internal.h',
      'extern struct proc_dir_entry proc_root;\n',
      'extern struct proc_dir_entry proc_root;\nstruct seq_file;\nextern int proc_marks;\nextern void proc_mark(struct seq_file *m);\n',
    ),
    await editPatch(
      'fs/proc/loadavg.c',
      'static int loadavg_proc_show(struct seq_file *m, void *v)\n',
      'int proc_marks = 40;\n\nvoid proc_mark(struct seq_file *m)\n{\n\tseq_printf(m, "marks %d\\n", ++proc_marks);\n}\n\nstatic int loadavg_proc_show(struct seq_file *m, void *v)\n',
    ),
    await editPatch(
      'fs/proc/uptime.c',
      '\tidle_nsec = 0;\n',
      '\tproc_marks++;\n\tproc_mark(m);\n\tidle_nsec = 0;\n',
    ),
  ].join(''),
);
const dummy = patchOf(
  'dummy.patch',
  await editPatch(
    'drivers/net/dummy.c',
    '\telse\n\t\tnetif_carrier_off(dev);\n',
    '\telse if (numdummies >= 0)\n\t\tnetif_carrier_off(dev);\n',
  ),
);

/** What two of the tests look at. */
const builtShared = build('shared', { patches: [shared] });

async function refusalOf(folder: string, request: Parameters<typeof build>[1]) {
  const error: unknown = await build(folder, request).catch((reason: unknown) => reason);
  assert.ok(error instanceof Refusal, String(error));
  return error.diagnostics;
}

test('buildLivepatch() takes of all units that include a header those whose code differs', async () => {
  const { bundle, modulePath } = await builtShared;
  assert.deepEqual(
    bundle.objects.map(({ name, functions }) => [name, functions.map(f => `${f.unit} ${f.name}`)]),
    [['vmlinux', ['fs/proc/uptime.c uptime_proc_show']]],
  );
  assert.equal(bundle.runPre.units, 2, 'the other includers are the same, byte for byte');
  assert.deepEqual(bundle.newSymbols.map(({ name, unit, kind }) => `${unit} ${name} ${kind}`).toSorted(), [
    'fs/proc/loadavg.c proc_mark function',
    'fs/proc/loadavg.c proc_marks data',
  ]);
  // Both units mean one variable and one function, which the module brings once.
  const module = readElf(await readFile(modulePath), 'module');
  for (const name of ['proc_mark', 'proc_marks']) {
    const symbols = module.symbols.filter(symbol => symbol.name === name);
    assert.deepEqual(
      symbols.map(symbol => symbol.section?.name),
      [name === 'proc_mark' ? '.text.proc_mark' : '.data.proc_marks'],
    );
  }
  assert.deepEqual(bundle.unload, { verdict: 'safe', reasons: [] });
});

test('buildLivepatch() builds on a bundle what it builds from all patches at once', async () => {
  const text = await readFile((await builtShared).bundlePath, 'utf8');
  const second = await build('second', { patches: [dummy], on: [parseBundle(text, 'first.json')] });
  assert.deepEqual(
    second.bundle.objects.map(({ name }) => name),
    ['vmlinux', 'dummy'],
  );
  assert.deepEqual(
    second.bundle.patches.map(({ name }) => name),
    ['shared.patch', 'dummy.patch'],
  );
  const together = await build('together', { patches: [shared, dummy] });
  assert.deepEqual(together.bundle, second.bundle);
  assert.equal(Buffer.compare(await readFile(together.modulePath), await readFile(second.modulePath)), 0);

  const twice = await refusalOf('twice', { patches: [shared], on: [second.bundle] });
  assert.deepEqual(
    twice.map(d => d.code),
    ['patch-twice'],
  );
});

test('buildLivepatch() stops above the most units, with the list', async () => {
  const [refusal] = await refusalOf('too-many', { patches: [shared], maxUnits: 3 });
  assert.equal(refusal?.code, 'too-many-units');
  assert.ok(refusal.notes.includes('fs/proc/uptime.c'), refusal.notes.join('\n'));
});

test('buildLivepatch() refuses a header that changes what assembly knows of a structure', async () => {
  const text = await editPatch(
    'arch/x86/include/asm/suspend_64.h',
    '\tunsigned long cr0, cr2, cr3, cr4;\n',
    '\tunsigned long cr0, cr3, cr2, cr4;\n',
  );
  const found = await refusalOf('offsets', { patches: [patchOf('offsets.patch', text)] });
  assert.ok(
    found.some(d => d.code === 'header-reaches-offsets'),
    found.map(d => d.text).join('\n'),
  );
});
