/** A kernel that a user built: the shared kit's source, configuration, image and one module, laid out as make leaves them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { STB, STT } from '@kstitch/elf/constants';
import { editElf } from '@kstitch/elf/edit';
import { readElf } from '@kstitch/elf/read';
import { writeElf } from '@kstitch/elf/write';
import { cacheDirectory } from '@kstitch/host/cache-directory';
import type { Kallsyms } from '@kstitch/kernel/kallsyms';
import { KernelImage } from '@kstitch/kernel/kernel-image';
import { compareWithKallsyms, readSymtab } from '@kstitch/kernel/symtab-symbols';
import { type Context, silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { editPatch } from '@kstitch/testkit/edit-patch';
import { testKit } from '@kstitch/testkit/kit';
import { buildLivepatch } from '../build-livepatch.ts';
import { loadKernel } from '../kernel/load-kernel.ts';
import { exportKit } from './export-kit.ts';
import { kitNameOf, kitOfDirectory } from './own-kit.ts';
import { readRecordedUnits } from './recorded-units.ts';

const { kit: stock } = await testKit();
/** On the file system of the kits, for hard links: nothing in it is written to. */
let work = '';
const kernel = await loadKernel(stock);
const { image, kallsyms } = kernel;

before(async () => {
  work = await mkdtemp(join(cacheDirectory(), 'own-test-'));
  // The kits that are made here are gone with it.
  process.env['KSTITCH_CACHE'] = join(work, 'cache');
  await mkdir(join(work, 'cache/kits'), { recursive: true });
});
after(() => rm(work, { recursive: true, force: true, maxRetries: 5, retryDelay: 500 }));

/** What a build leaves, without the source itself; `edits` stand in place of what is the shared kit's. */
async function layOut(directory: string, edits: Readonly<Record<string, string | Uint8Array>> = {}) {
  const { tree, vmlinux, vmlinuz, modulesDirectory } = stock.paths;
  const links = {
    vmlinux,
    'arch/x86/boot/bzImage': vmlinuz,
    'modules.builtin': join(modulesDirectory, 'modules.builtin'),
    'drivers/net/dummy.ko': join(modulesDirectory, 'kernel/drivers/net/dummy.ko'),
    ...Object.fromEntries(
      [
        'Makefile',
        '.config',
        'Module.symvers',
        'include/config/auto.conf',
        'include/generated/utsrelease.h',
        'include/generated/utsversion.h',
      ].map(path => [path, join(tree, path)]),
    ),
  };
  for (const [path, target] of Object.entries(links)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await rm(join(directory, path), { force: true });
    await link(target, join(directory, path));
  }
  // As kbuild writes it from 6.3 on.
  for (const [path, content] of Object.entries({ 'modules.order': 'drivers/net/dummy.o\n', ...edits })) {
    await rm(join(directory, path), { force: true });
    await writeFile(join(directory, path), content);
  }
  return directory;
}

/** The image with the symbol table that the linker would have left: kallsyms' symbols, and what kallsyms leaves out. */
function withSymtab(without = ''): Uint8Array {
  const { builder, sectionIds } = editElf(image.elf);
  const names = [...kallsyms].filter(({ name }) => name !== without);
  const [first] = names;
  assert.ok(first);
  const noise = ['.LC0', '$x', '__crc_kmalloc', '__kcfi_typeid_f', 'kallsyms_names'];
  const all = [...names, ...noise.map(name => ({ ...first, name, type: 'd' }))];
  // The linker's order is another one: by unit, not by address.
  for (const { name, type, address } of all.toSorted((a, b) => (a.name < b.name ? 1 : -1))) {
    const section = image.sectionAt(address) ?? image.sectionAt(address - 1n);
    builder.addSymbol({
      name,
      st_value: address,
      st_size: 0n,
      bind: /[wWV]/.test(type) ? STB.WEAK : /[a-z]/.test(type) ? STB.LOCAL : STB.GLOBAL,
      type: type === 'V' ? STT.OBJECT : STT.NOTYPE,
      st_other: 0,
      place: sectionIds[section?.index ?? 1] ?? 'absolute',
    });
  }
  return writeElf(builder);
}

/** @returns a context in which something happens right before a step */
function meanwhile(step: string, happens: () => Promise<void>): Context {
  const context = silentContext();
  return {
    ...context,
    progress: {
      ...context.progress,
      step: async (label, work) => {
        if (label === step) await happens();
        return await work(() => {});
      },
    },
  };
}

test('a symbol table gives every symbol the place that kallsyms gives it', () => {
  const symtab = readSymtab(new KernelImage(readElf(withSymtab(), 'vmlinux')));
  assert.ok(symtab);
  assert.equal(compareWithKallsyms(symtab, kallsyms), undefined);
  assert.equal(symtab.count, kallsyms.count);
  for (const name of ['__func__.0', 'dev_attr_name', 'tcp_v4_rcv']) {
    const addresses = (table: Pick<Kallsyms, 'named'>) => table.named(name).map(({ address }) => address);
    assert.ok(addresses(symtab).length > 0, name);
    assert.deepEqual(addresses(symtab), addresses(kallsyms), name);
  }
});

test('parts that are not of one build are refused with what differs, and nothing is left', async () => {
  const text = async (path: string) => await readFile(join(stock.paths.tree, path), 'latin1');
  const config = await text('.config');
  const compiled = await text('include/config/auto.conf');
  const id = Buffer.from(kernel.buildId, 'hex');
  const bytes = Buffer.from(await readFile(stock.paths.vmlinux));
  bytes[bytes.indexOf(id)]! ^= 1;
  const module = await readFile(join(stock.paths.modulesDirectory, 'kernel/drivers/net/dummy.ko'));
  const cases: [edits: Record<string, string | Uint8Array>, code: string, says: RegExp][] = [
    [
      { 'include/generated/utsversion.h': '#define UTS_VERSION "#2 SMP"\n' },
      'own-kernel-mixed',
      /^build in include\/generated\/utsversion\.h: '#2 SMP', vmlinux has '#1 SMP .* Debian 6\.1\.192-1 /m,
    ],
    [
      { 'include/generated/utsrelease.h': '#define UTS_RELEASE "6.1.192-mine"\n' },
      'own-kernel-mixed',
      /^release in .*: '6\.1\.192-mine', vmlinux has '6\.1\.0-55-cloud-amd64'$/m,
    ],
    [
      { vmlinux: bytes },
      'own-kernel-mixed',
      new RegExp(
        `^build id of the image in bzImage: '${kernel.buildId}', vmlinux has '(?!${kernel.buildId})`,
        'm',
      ),
    ],
    [
      { '.config': config.replace('CONFIG_HZ=250', 'CONFIG_HZ=1000') },
      'own-kernel-mixed',
      /^CONFIG_HZ: '1000' in \.config, '250' as compiled$/m,
    ],
    [
      {
        '.config': config.replace('gcc-12 (Debian', 'gcc-11 (Debian'),
        'include/config/auto.conf': compiled.replace('gcc-12 (Debian', 'gcc-11 (Debian'),
      },
      'own-kernel-mixed',
      /^compiler in include\/config\/auto\.conf: 'gcc-11 \(Debian .*', vmlinux has 'gcc-12 \(Debian /m,
    ],
    [
      { vmlinux: withSymtab('tcp_v4_rcv') },
      'own-kernel-mixed',
      /^symbols of vmlinux: kallsyms has 'tcp_v4_rcv' at 0xf+8/m,
    ],
    [
      {
        'drivers/net/dummy.ko': Buffer.from(
          module.toString('latin1').replaceAll('6.1.0-55-', '6.1.0-54-'),
          'latin1',
        ),
      },
      'own-kernel-mixed',
      /^module 'drivers\/net\/dummy\.ko' was built for '6\.1\.0-54-cloud-amd64'$/m,
    ],
    [
      { 'modules.order': 'drivers/net/dummy.ko\nfs/none.ko\n' },
      'own-kernel-mixed',
      /^module 'fs\/none\.ko' of modules\.order is not there$/m,
    ],
    [
      { '.config': config.replace('CONFIG_LIVEPATCH=y', '# CONFIG_LIVEPATCH is not set') },
      'own-kernel-config',
      /configured without CONFIG_LIVEPATCH$/m,
    ],
  ];
  for (const [edits, code, says] of cases) {
    const directory = await layOut(join(work, 'mixed'), edits);
    const error = await kitOfDirectory(silentContext(), directory).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof KstitchError, `${says} is told: ${String(error)}`);
    assert.deepEqual(
      [error.code, says.test([error.message, ...error.notes].join('\n'))],
      [code, true],
      `${says}: ${error.message} ${error.notes.join('; ')}`,
    );
    // One finding a spoiled part: nothing else is put down to it.
    assert.ok(error.notes.length <= 1, error.notes.join('\n'));
  }
  const directory = await layOut(join(work, 'mixed'), { vmlinux: bytes.subarray(0, 1_000_000) });
  await assert.rejects(kitOfDirectory(silentContext(), directory), {
    code: 'own-kernel-incomplete',
    message: `use the kernel in '${directory}': its 'vmlinux' is no whole ELF file`,
  });
  await layOut(directory);
  // Configured anew while its files are listed: what is read of them is no older than the list.
  const { signal } = new AbortController();
  let isConfigured = false;
  Object.defineProperty(signal, 'aborted', {
    get: () => {
      if (isConfigured) return false;
      isConfigured = true;
      rmSync(join(directory, '.config'));
      writeFileSync(join(directory, '.config'), `${config}CONFIG_OTHER=y\n`, 'latin1');
      return false;
    },
  });
  await assert.rejects(kitOfDirectory(silentContext(signal), directory), {
    code: 'own-kernel-mixed',
    notes: ["CONFIG_OTHER: 'y' in .config, 'not set' as compiled"],
  });
  await layOut(directory);
  const built = meanwhile('copy the source', async () => {
    await layOut(directory, { 'include/generated/autoconf.h': '' });
  });
  await assert.rejects(kitOfDirectory(built, directory), {
    code: 'own-kernel-mixed',
    notes: ['files in it were changed while it was copied'],
  });
  for (const path of ['vmlinux', 'arch/x86/boot/bzImage']) await rm(join(directory, path));
  await assert.rejects(kitOfDirectory(silentContext(), directory), {
    code: 'own-kernel-incomplete',
    message: /: it has no 'vmlinux', 'arch\/x86\/boot\/bzImage'$/,
  });
  const left = (await readdir(join(cacheDirectory(), 'kits'))).filter(name => name.includes('@'));
  assert.deepEqual(left, []);
});

test('a kernel that a user built goes the way of any other, by the symbols of its vmlinux', async () => {
  const directory = join(work, 'linux');
  execFileSync('cp', ['-al', stock.paths.tree, directory]);
  // A third of the files, which no unit of this architecture is made from.
  const needless = [
    'Documentation',
    'samples',
    'tools/testing',
    'tools/perf',
    'rust',
    'arch/arm',
    'arch/arm64',
    'arch/powerpc',
    'arch/mips',
  ];
  for (const folder of needless) await rm(join(directory, folder), { recursive: true });
  await layOut(directory, { vmlinux: withSymtab() });
  // What a build leaves and a kit must not have.
  await writeFile(join(directory, 'certs/signing_key.pem'), 'secret');
  await writeFile(join(directory, 'fs/pipe.o'), 'an object');
  const configuration = await readFile(join(directory, '.config'), 'latin1');
  const change = async (text: string) => {
    await rm(join(directory, '.config'));
    await writeFile(join(directory, '.config'), text, 'latin1');
  };
  // Who builds there again while the copy is prepared changes nothing in it.
  const kit = await kitOfDirectory(
    meanwhile('prepare the kernel source', () => change(`${configuration}CONFIG_OTHER=y\n`)),
    directory,
  );
  assert.equal(await readFile(join(kit.paths.tree, '.config'), 'latin1'), configuration);
  await change(configuration);
  assert.match(kit.name, /^6\.1\.0-55-cloud-amd64@[0-9a-f]{12}$/);
  assert.deepEqual([kit.release, kit.packages], [stock.release, []]);
  assert.equal(kitNameOf(kit), kit.name);
  for (const path of ['certs/signing_key.pem', 'fs/pipe.o'])
    await assert.rejects(readFile(join(kit.paths.tree, path)), { code: 'ENOENT' }, path);
  assert.equal(await readFile(join(directory, 'fs/pipe.o'), 'utf8'), 'an object');

  // The same units, compiled by the same commands.
  const [own, theirs] = await Promise.all(
    [kit, stock].map(async each => [...(await readRecordedUnits(each.paths.units)).values()]),
  );
  const bare = (units: typeof own) =>
    units?.map(({ object, modules, command }) => `${object} ${modules.join()} ${command}`);
  assert.deepEqual(bare(own), bare(theirs));
  const read = await loadKernel(kit);
  assert.equal(read.kallsyms.count, kallsyms.count);
  assert.ok(readSymtab(read.image), 'its symbols are there');

  const bytes = Buffer.from(
    await editPatch('drivers/net/dummy.c', '\tdev->min_mtu = 0;\n', '\tdev->min_mtu = 68;\n'),
    'latin1',
  );
  const { bundle } = await buildLivepatch(silentContext(), {
    patches: [{ name: 'dummy.patch', bytes }],
    release: kit.name,
    name: 'own',
    outputDirectory: join(work, 'out'),
  });
  assert.equal(bundle.kernel.buildId, kernel.buildId);
  assert.equal(kitNameOf(bundle.kernel), kit.name);

  await assert.rejects(exportKit(silentContext(), kit.name, join(work, 'kit.tar'), { root: false }), {
    code: 'kit-own',
  });

  // Nothing has changed: it is opened, without a make.
  assert.equal((await kitOfDirectory(silentContext(), directory)).name, kit.name);
});
