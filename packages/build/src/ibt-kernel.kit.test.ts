/** What Debian 12's 6.12 has that its 6.1 has not, on the shipped kernel and in a livepatch for it. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ElfFile } from '@kstitch/elf/model';
import { readElf } from '@kstitch/elf/read';
import { readPerhapsCompressed } from '@kstitch/host/compressed-file';
import { silentContext } from '@kstitch/report/context';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { hiddenUptime } from '@kstitch/testkit/hidden-uptime';
import { ibtRelease, testKit } from '@kstitch/testkit/kit';
import { buildOn, readGround } from './build-livepatch.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-build-test-'));
after(() => rm(work, { recursive: true, force: true }));
const { kit, modulesDirectory } = await testKit(ibtRelease);
const ground = await readGround(silentContext(), ibtRelease);
const { vmlinux, world, entrySizes } = ground.kernel;

async function build(patch: string, name: string): Promise<ElfFile> {
  const patches = [{ name: `${name}.patch`, bytes: Buffer.from(patch, 'latin1') }];
  const { modulePath } = await buildOn(silentContext(), ground, { patches, name, outputDirectory: work });
  return readElf(new Uint8Array(await readFile(modulePath)), modulePath);
}

const bytesOf = (file: ElfFile, name: string) => file.sections.find(section => section.name === name)?.bytes;
const hex = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('hex');
const endbr = 'f30f1efa';

test('sizes are those of the BTF: alternatives have a word of flags, paravirtual calls no table', () => {
  assert.deepEqual(entrySizes, {
    altInstruction: 14,
    altReplacementLength: 13,
    bug: 12,
    jump: 16,
    exception: 12,
    paravirt: undefined,
  });
});

test('every function that .ibt_endbr_seal lists has a landing pad in the image, and none is a target', () => {
  const [start = 0] = vmlinux.named('__ibt_endbr_seal');
  const [end = 0] = vmlinux.named('__ibt_endbr_seal_end');
  const bytes = vmlinux.read(start, end - start) ?? new Uint8Array();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sealed = Array.from(
    { length: bytes.length / 4 },
    (_, i) => start + 4 * i + view.getInt32(4 * i, true),
  );
  assert.ok(sealed.length > 10_000, `${sealed.length} functions`);
  for (const address of sealed) {
    assert.equal(hex(vmlinux.read(address, 4)), endbr);
    assert.equal(vmlinux.isIndirectTarget(address), false);
  }
  const isTarget = (name: string) => vmlinux.isIndirectTarget(vmlinux.named(name)[0] ?? 0);
  // Sealed, in a table of functions, without a landing pad.
  assert.deepEqual(['ext4_fc_start_update', 'filldir64', 'do_select'].map(isTarget), [false, true, false]);
});

test('a new pointer to a function whose landing pad was sealed is refused', async () => {
  const take = (name: string) =>
    editPatch(
      'fs/ext4/fast_commit.c',
      '\tif (atomic_dec_and_test(&ei->i_fc_updates))\n\t\twake_up_all(&ei->i_fc_wait);\n',
      `\tif (READ_ONCE(inode->i_private) == ${name})\n\t\treturn;\n\tif (atomic_dec_and_test(&ei->i_fc_updates))\n\t\twake_up_all(&ei->i_fc_wait);\n`,
      ibtRelease,
    );
  await assert.rejects(build(await take('ext4_fc_start_update'), 'sealed'), { code: 'ibt-not-a-target' });
  // Named in a table of operations, so nothing took its landing pad away.
  await build(await take('generic_file_llseek'), 'target');
});

test('a livepatch has padding, landing pad, ORC header and struct module as the kernel wants them', async () => {
  const module = await build(await hiddenUptime(), 'readdir');
  const code = bytesOf(module, '.text.filldir64');
  assert.equal(hex(code?.subarray(0, 16)), '90'.repeat(16));
  assert.equal(hex(code?.subarray(16, 20)), endbr);
  const place = (name: string) => module.symbols.find(symbol => symbol.name === name);
  assert.deepEqual([place('filldir64')?.st_value, place('__pfx_filldir64')?.st_value], [16n, 0n]);
  assert.equal(place('__pfx_filldir64')?.st_size, 16n);

  // Compressed with xz, as all modules of this kernel are.
  const path = join(modulesDirectory, 'kernel/drivers/net/dummy.ko');
  const shipped = readElf(await readPerhapsCompressed(path), path);
  const orcHeader = bytesOf(module, '.orc_header');
  assert.equal(orcHeader?.length, 20);
  assert.equal(hex(orcHeader), hex(bytesOf(shipped, '.orc_header')));
  const thisModule = bytesOf(module, '.gnu.linkonce.this_module');
  assert.equal(thisModule?.length, world.layout.module.size);
  assert.equal(thisModule?.length, bytesOf(shipped, '.gnu.linkonce.this_module')?.length);
  assert.equal((bytesOf(module, '.altinstructions')?.length ?? 1) % 14, 0);
  const names = new Set(module.sections.map(({ name }) => name));
  assert.ok(![...names].some(name => name === '.parainstructions' || name.startsWith('runtime_')));
  assert.equal(kit.release, ibtRelease);
});
