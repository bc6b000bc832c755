import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Machine } from '@kstitch/manager/machine';
import { silentContext } from '@kstitch/report/context';
import { testKit } from '@kstitch/testkit/kit';
import { makeTree } from '@kstitch/testkit/tree-text';
import { chooseKit } from './kernel-choice.ts';

const { kit } = await testKit();
const work = await mkdtemp(join(tmpdir(), 'kstitch-choice-test-'));
after(() => rm(work, { recursive: true, force: true }));

/** A machine with the stock test kernel, recorded while it ran (scripts/record-machine.ts). */
const recording = join(import.meta.dirname, '../../manager/src/fixtures/bare.tree');
makeTree(await readFile(recording, 'utf8'), work);
const machine = new Machine(work);
const notesPath = join(work, 'sys/kernel/notes');
const notes = await readFile(notesPath);
const context = silentContext();

test('--from-running takes the kit of the kernel that runs', async () => {
  assert.equal((await chooseKit(context, { fromRunning: true }, machine)).name, kit.name);
  assert.equal((await chooseKit(context, { kernel: kit.name }, machine)).name, kit.name);
});

test('--from-running refuses another build of that release, with both build ids', async () => {
  const id = /4e5500([0-9a-f]{40})/.exec(notes.toString('hex'))?.[1];
  assert.ok(id);
  const other = Buffer.from(notes);
  const at = notes.indexOf(Buffer.from(id, 'hex'));
  other[at] = notes.readUInt8(at) ^ 0xff;
  await writeFile(notesPath, other);
  const otherId = other.toString('hex', at, at + 20);
  await assert.rejects(chooseKit(context, { fromRunning: true }, machine), {
    code: 'kit-other-build',
    message: `use the kit of the running '${kit.release}': the kernel that runs has the build id '${otherId}', the kit's has '${id}'`,
  });
  // A kernel that tells no build id may be any.
  await rm(notesPath);
  await assert.rejects(chooseKit(context, { fromRunning: true }, machine), {
    code: 'kit-other-build',
    message: /has the build id 'none'/,
  });
});

test('a kernel is named in one way', async () => {
  for (const more of [{ fromRunning: true }, { kernelDir: work }])
    await assert.rejects(chooseKit(context, { kernel: kit.name, ...more }, machine), { code: 'usage' });
  await assert.rejects(chooseKit(context, { fromRunning: true, kernelDir: work }, machine), {
    code: 'usage',
  });
  await mkdir(join(work, 'none'));
  await assert.rejects(chooseKit(context, { kernelDir: join(work, 'none') }, machine), {
    code: 'own-kernel-incomplete',
    message: /it has no 'Makefile', '\.config', .*'vmlinux', 'arch\/x86\/boot\/bzImage'/,
  });
});
