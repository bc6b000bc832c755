/** What the order in which a kernel loads a module demands, on real units. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readElf } from '@kstitch/elf/read';
import { silentContext } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { testRelease } from '@kstitch/testkit/kit';
import { type BuildResult, buildLivepatch } from './build-livepatch.ts';

const outputDirectory = await mkdtemp(join(tmpdir(), 'kstitch-loading-test-'));
after(() => rm(outputDirectory, { recursive: true, force: true }));

async function build(path: string, from: string, to: string): Promise<BuildResult> {
  const bytes = Buffer.from(await editPatch(path, from, to), 'latin1');
  const patches = [{ name: 'a.patch', bytes }];
  return await buildLivepatch(silentContext(), {
    patches,
    release: testRelease,
    name: 'test',
    outputDirectory,
  });
}

// objtool does not know do_exit() when it is a weak symbol: it would say "unexpected end of section".
test('a function that ends with a call that does not return is linked', async () => {
  const { bundle } = await build(
    'kernel/exit.c',
    '\tdo_exit((error_code&0xff)<<8);\n',
    '\tdo_exit((error_code&0xfe)<<8);\n',
  );
  assert.deepEqual(bundle.objects[0]?.functions.map(({ name }) => name).sort(), [
    '__ia32_sys_exit',
    '__x64_sys_exit',
  ]);
  assert.equal(bundle.specialSections['.discard.unreachable'], 2);
  assert.equal(bundle.unload.verdict, 'unsafe');
});

test('so is one that goes on behind such a call of another unit', async () => {
  const { bundle } = await build(
    'kernel/signal.c',
    '\t\tdo_group_exit(ksig->info.si_signo);\n',
    '\t\tdo_group_exit(ksig->info.si_signo + 1);\n',
  );
  assert.deepEqual(
    bundle.objects[0]?.functions.map(({ name }) => name),
    ['get_signal'],
  );
});

test('the namespace of an export that is used is imported', async () => {
  const line = '\tmemset(consts, 0, bs);\n';
  const { bundle, modulePath } = await build(
    'crypto/cmac.c',
    line,
    `${line}\tif (keylen == 77)\n\t\treturn -EINVAL;\n`,
  );
  assert.ok(bundle.exportedSymbols.includes('crypto_cipher_encrypt_one'));
  const module = readElf(new Uint8Array(await readFile(modulePath)), 'module');
  const information = module.sections.find(({ name }) => name === '.modinfo')?.bytes ?? new Uint8Array();
  assert.match(Buffer.from(information).toString('latin1'), /(?:^|\0)import_ns=CRYPTO_INTERNAL\0/);
});

// Loading it stopped 6.1 with "unable to handle page fault" in jump_label_module_notify().
test('a static key that is read-only since boot is refused', async () => {
  const from = '\tif (static_branch_unlikely(&bypass_usercopy_checks))\n';
  const refused = build('mm/usercopy.c', from, from.replace('checks))', 'checks) || n == 77777)'));
  const error = await refused.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Refusal, String(error));
  const [finding] = error.diagnostics;
  assert.equal(finding?.code, 'read-only-static-key');
  assert.equal(finding.place.file, 'mm/usercopy.c');
  assert.match(finding.help, /static_key_enabled\(/);
});
