import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { readelfText } from '@kstitch/testkit/compile';
import { testKit } from '@kstitch/testkit/kit';
import { loadCompileDatabase } from '../compile/compile-database.ts';
import { compileUnit, sectionFlags } from '../compile/compile-unit.ts';
import { makeShadowTree } from '../compile/shadow-tree.ts';
import { linkModule } from './link-module.ts';

const { kit } = await testKit();
const context = silentContext();
const root = await mkdtemp(join(tmpdir(), 'kstitch-link-'));
after(() => rm(root, { recursive: true }));

const wrapperSource = `#include <linux/module.h>
#include <linux/livepatch.h>
extern int kstitch_new_0(int);
static struct klp_func kstitch_functions_0[] = { { .old_name = "x", .new_func = kstitch_new_0 }, { } };
static struct klp_object objects[] = { { .funcs = kstitch_functions_0 }, { } };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };
static int init(void) { return klp_enable_patch(&patch); }
static void stop(void) { }
module_init(init);
module_exit(stop);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
`;

/** An object as the extractor would make it: code of the kernel's own flags that objtool has not seen. */
async function compile(source: string): Promise<Uint8Array> {
  const database = await loadCompileDatabase(kit);
  const unit = database.unit('fs/ext4/mballoc.c');
  assert.ok(unit !== undefined);
  const cwd = await mkdtemp(join(root, 'source-'));
  await makeShadowTree(kit, cwd, [{ path: 'fs/ext4/mballoc.c', text: source }]);
  const options = {
    workshop: kit.workshop,
    cwd,
    output: join(root, 'unit.o'),
    extraFlags: sectionFlags,
    patched: true,
  };
  return await compileUnit(context, unit, options);
}

async function link(
  objects: readonly { name: string; bytes: Uint8Array }[],
  wrapper = wrapperSource,
): Promise<Uint8Array> {
  const directory = await mkdtemp(join(root, 'work-'));
  return await linkModule(context, kit, directory, {
    moduleName: 'kstitch_test_1a2b3c4d',
    objects,
    wrapperSource: wrapper,
  });
}

const code = `#include <linux/jump_label.h>
#include <linux/printk.h>
DEFINE_STATIC_KEY_FALSE(kstitch_key);
int kstitch_new_0(int a)
{
	if (static_branch_unlikely(&kstitch_key))
		printk("kstitch: %d\\n", a);
	return a + 1;
}
`;

test('linkModule() runs objtool on the extracted code and leaves the tree alone', async () => {
  const tree = listTree();
  const module = await link([{ name: 'unit0', bytes: await compile(code) }]);

  const sections = readelfText(module, ['-SW']);
  for (const name of [
    '.orc_unwind_ip',
    '.return_sites',
    '__mcount_loc',
    '.gnu.linkonce.this_module',
    '.modinfo',
  ]) {
    assert.ok(sections.includes(name), `${name} in\n${sections}`);
  }
  const relocations = readelfText(module, ['-rW']);
  assert.match(
    relocations.split("section '.rela.orc_unwind_ip'")[1]?.split('\n\n')[0] ?? '',
    /\.text\.kstitch_new_0/,
  );
  assert.match(readelfText(module, ['-p', '.modinfo']), new RegExp(`vermagic=${kit.release} .*mod_unload`));

  const before = new Set(tree);
  const after = listTree();
  assert.deepEqual(
    after.filter(line => !before.has(line)),
    [],
  );
  assert.equal(after.length, tree.length);
});

/** Every file of the tree as it is; not when its inode changed, for others make hard links of it. */
function listTree(): readonly string[] {
  const shown = ['-printf', '%P %i %y %m %s %T@\n'];
  const text = execFileSync('find', [kit.paths.tree, ...shown], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  return text.split('\n');
}

test('linkModule() makes the same bytes in any folder', async () => {
  const bytes = await compile(code);
  const [first, second] = [await link([{ name: 'unit0', bytes }]), await link([{ name: 'unit0', bytes }])];
  assert.deepEqual(first, second);
  assert.ok(!Buffer.from(first).includes(root));
});

test('linkModule() refuses code that objtool warns about', async () => {
  const bytes = await compile(
    'int kstitch_new_0(int a);\nint kstitch_new_0(int a)\n{\n\tasm volatile("stac");\n\tasm volatile("push %rax");\n\treturn a;\n}\n',
  );
  await assert.rejects(link([{ name: 'unit0', bytes }]), {
    code: 'objtool-warning',
    message: /kstitch_new_0/,
  });
});

test("linkModule() passes on modpost's errors", async () => {
  const bytes = await compile(
    'int ext4_not_exported(int a);\nint kstitch_new_0(int a);\nint kstitch_new_0(int a) { return ext4_not_exported(a) + 1; }\n',
  );
  await assert.rejects(link([{ name: 'unit0', bytes }]), {
    code: 'modpost-failed',
    message: 'link \'kstitch_test_1a2b3c4d\': "ext4_not_exported" [kstitch_test_1a2b3c4d.ko] undefined!',
  });
});

test('linkModule() passes on what kbuild says about a wrapper that does not compile', async () => {
  const bytes = await compile(code);
  await assert.rejects(
    link([{ name: 'unit0', bytes }], 'int f(void) { return missing; }\n'),
    (error: Error & { notes?: string[]; code?: string }) => {
      assert.equal(error.code, 'link-failed');
      assert.match(error.notes?.join('\n') ?? '', /missing/);
      return true;
    },
  );
});

test('linkModule() takes no object whose name is a path', async () => {
  await mkdir(join(root, 'x'), { recursive: true });
  await assert.rejects(link([{ name: '../unit0', bytes: new Uint8Array() }]), RangeError);
});
