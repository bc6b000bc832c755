/** Preparing a source of a few lines: kbuild's part is played by its Makefile, make is the real one. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { KstitchError } from '@kstitch/report/error';
import { thisMachine } from '../root/workshop.ts';
import { debianVariables, prepareTree } from './prepare-tree.ts';
import { recordUnits } from './record-units.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-prepare-test-'));
after(() => rm(work, { recursive: true }));

const release = '6.1.0-55-cloud-amd64';

/** What a linux-headers package has of the configuration. */
const headersFiles = {
  '.config': 'CONFIG_64BIT=y\nCONFIG_LIVEPATCH=y\n',
  'Module.symvers': '',
  '.kernelvariables': 'CC = gcc-12\n',
  'include/config/auto.conf': 'CONFIG_64BIT=y\nCONFIG_LIVEPATCH=y\n',
  'include/generated/autoconf.h': '#define CONFIG_64BIT 1\n#define CONFIG_LIVEPATCH 1\n',
  'include/generated/compile.h':
    '#define LINUX_COMPILE_BY "debian-kernel"\n#define LINUX_COMPILE_HOST "lists.debian.org"\n',
  'include/generated/utsversion.h': '#define UTS_VERSION "#1 SMP"\n',
};

async function write(folder: string, files: Readonly<Record<string, string>>): Promise<string> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

/** @param makefile - of the source, with a rule for `modules_prepare` */
async function prepare(name: string, makefile: string): Promise<string> {
  const headers = await write(join(work, name, 'headers'), headersFiles);
  const tree = await write(join(work, name, 'tree'), { Makefile: makefile });
  const variables = await debianVariables(headers, release, '6.1.192-1');
  await prepareTree(silentContext(), { workshop: thisMachine, release, headers, tree, variables });
  return tree;
}

test('the configuration is placed, and what Debian passed to its build', async () => {
  const tree = await prepare(
    'good',
    'include .kernelvariables\nmodules_prepare:\n\techo "$(CC) $(KERNELRELEASE) $(DISTRIBUTION_VERSION)" > said\n',
  );
  assert.equal(await readFile(join(tree, 'said'), 'utf8'), `gcc-12 ${release} 6.1.192-1\n`);
  for (const name of ['.config', 'include/generated/autoconf.h', 'include/generated/utsversion.h'] as const) {
    assert.equal(await readFile(join(tree, name), 'utf8'), headersFiles[name]);
  }
});

test("kbuild has no reason to run kconfig again, and none of this shell's variables", async () => {
  process.env['KCFLAGS'] = '-O0';
  try {
    // The rule by which kbuild decides (Makefile, "include/config/auto.conf").
    await prepare(
      'times',
      'modules_prepare: include/config/auto.conf\n\ttest -z "$(KCFLAGS)"\ninclude/config/auto.conf: .config\n\tfalse\n',
    );
  } finally {
    delete process.env['KCFLAGS'];
  }
});

test("a make that fails is told with make's last words", async () => {
  await assert.rejects(
    prepare('fails', 'modules_prepare:\n\tkstitch-no-such-program scripts/genksyms\n'),
    error => {
      assert.ok(error instanceof KstitchError && error.code === 'kit-prepare-failed');
      assert.equal(error.message, `prepare the source of '${release}': make failed`);
      assert.match(error.notes.join('\n'), /kstitch-no-such-program: No such file or directory/);
      return true;
    },
  );
});

test('a configuration that changed on the way is refused with the difference', async () => {
  for (const [name, recipe, notes] of [
    [
      'option',
      "sed -i 's/^CONFIG_LIVEPATCH=y/CONFIG_LIVEPATCH=m/' .config",
      ['.config: -CONFIG_LIVEPATCH=y', '.config: +CONFIG_LIVEPATCH=m'],
    ],
    [
      'derived',
      "sed -i '/LIVEPATCH/d' include/generated/autoconf.h",
      ['include/generated/autoconf.h: -#define CONFIG_LIVEPATCH 1'],
    ],
    ['order', 'sort -r -o .config .config', ['.config: its lines are in another order']],
  ] as const) {
    await assert.rejects(prepare(name, `modules_prepare:\n\t${recipe}\n`), error => {
      assert.ok(error instanceof KstitchError && error.code === 'kit-config-changed', String(error));
      assert.deepEqual(error.notes, notes);
      return true;
    });
  }
});

test('a kbuild that names few units has given up', async () => {
  const tree = await write(join(work, 'units'), {
    '.config': 'CONFIG_PCI=y\n',
    Makefile:
      '%/:\n\tmkdir -p $@\n\techo "kstitch-unit gcc-12 -c $@a.c" > $@a.o\n\techo "no rule for $@b.o" >&2; exit 2\n',
    'arch/x86/Makefile': 'drivers-$(CONFIG_PCI) += arch/x86/pci/\n',
  });
  await assert.rejects(
    recordUnits(silentContext(), thisMachine, release, tree, join(work, 'units.tsv')),
    error => {
      assert.ok(error instanceof KstitchError && error.code === 'kit-prepare-failed');
      assert.match(error.message, /: kbuild named only 1 units$/);
      assert.match(error.notes.join('\n'), /^no rule for arch\/x86\/pci\/b\.o$/m);
      return true;
    },
  );
});
