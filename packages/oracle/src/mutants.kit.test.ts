import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { editPatch } from '@kstitch/testkit/edit-patch';
import {
  ext4Fix,
  type JudgedLivepatch,
  judgedLivepatch,
  type SpoiledModule,
  spoil,
} from '@kstitch/testkit/judged-livepatch';
import { consultOracle } from './oracle.ts';
import type { Question } from './question.ts';

const work = await mkdtemp(join(tmpdir(), 'kstitch-oracle-test-'));
after(() => rm(work, { recursive: true, force: true }));
const { signal } = new AbortController();

async function livepatch(name: string, patches: readonly string[]): Promise<JudgedLivepatch> {
  const directory = join(work, name);
  await mkdir(directory);
  return await judgedLivepatch(directory, patches);
}

/** Texts of all findings about a module that was spoiled. */
async function findingsOf(
  { bytes, question }: JudgedLivepatch,
  how: (module: SpoiledModule) => void,
  change: Partial<Question> = {},
): Promise<readonly string[]> {
  const module = join(work, 'spoiled.ko');
  await writeFile(module, spoil(bytes, how));
  const { findings } = await consultOracle({ ...question, ...change, module }, signal);
  for (const { code } of findings) assert.equal(code, 'oracle-disagrees');
  assert.ok(findings.every(({ code, severity }) => code === 'oracle-disagrees' && severity === 'refusal'));
  return findings.map(({ text }) => text);
}

const oneOf = (texts: readonly string[], pattern: RegExp) =>
  assert.ok(
    texts.some(text => pattern.test(text)),
    `nothing matches ${pattern} in:\n${texts.join('\n')}`,
  );

const buddy = '.text.ext4_mb_load_buddy_gfp';
const group = '.text.ext4_mb_init_group';

const ext4 = await livepatch('ext4', [await ext4Fix()]);

/** A symbol that the kernel has several times. */
const namei = await livepatch('namei', [
  await editPatch(
    'fs/namei.c',
    "\t\treturn -EACCES;\t/* shouldn't it be ENOSYS? */\n\n\tmode = vfs_prepare_mode(mnt_userns, dir, mode, S_IALLUGO, S_IFREG);\n",
    "\t\treturn -EPERM;\t/* shouldn't it be ENOSYS? */\n\n\tmode = vfs_prepare_mode(mnt_userns, dir, mode, S_IALLUGO, S_IFREG);\n",
  ),
]);

/** Two units, with exceptions, alternatives, a static branch, and a changed function whose address is taken. */
const tables = await livepatch('tables', [
  await editPatch(
    'fs/readdir.c',
    '\t\tsizeof(u64));\n\tint prev_reclen;\n',
    '\t\tsizeof(u64) * 2);\n\tint prev_reclen;\n',
  ),
  await editPatch(
    'fs/readdir.c',
    '\t\t.ctx.actor = filldir64,\n\t\t.count = count,\n',
    '\t\t.ctx.actor = filldir64,\n\t\t.count = count & ~1u,\n',
  ),
  await editPatch(
    'mm/oom_kill.c',
    '\tif (test_and_set_tsk_thread_flag(tsk, TIF_MEMDIE))\n\t\treturn;\n\n\t/* oom_mm is bound to the signal struct life time. */\n',
    '\tif (!mm || test_and_set_tsk_thread_flag(tsk, TIF_MEMDIE))\n\t\treturn;\n\n\t/* oom_mm is bound to the signal struct life time. */\n',
  ),
]);

/** A function without an ftrace site, which its two callers carry. */
const pivot = await livepatch('pivot', [
  await editPatch(
    'fs/namespace.c',
    '\tif (!may_mount())\n\t\treturn -EPERM;\n\n\terror = user_path_at(AT_FDCWD, new_root,\n',
    '\tif (!may_mount())\n\t\treturn -EACCES;\n\n\terror = user_path_at(AT_FDCWD, new_root,\n',
  ),
]);

const dummy = await livepatch('dummy', [
  await editPatch(
    'drivers/net/dummy.c',
    '\telse\n\t\tnetif_carrier_off(dev);\n',
    '\telse if (numdummies >= 0)\n\t\tnetif_carrier_off(dev);\n',
  ),
]);

for (const [name, { question }] of Object.entries({ ext4, namei, tables, dummy })) {
  test(`consultOracle() finds nothing in the livepatch of ${name} as it was built`, async () => {
    const { findings, figures } = await consultOracle(question, signal);
    assert.deepEqual(
      findings.map(({ text }) => text),
      [],
    );
    assert.ok(figures.functions > 0 && figures.relocations > 0 && figures.entries > 0);
    assert.equal(figures.unconfirmed, 0);
  });
}

const mutants: readonly (readonly [string, JudgedLivepatch, (module: SpoiledModule) => void, RegExp])[] = [
  [
    'a changed byte of code',
    ext4,
    module => (module.bytes(buddy)[0x13] = 0xcc),
    /^the byte at ext4_mb_load_buddy_gfp\+0x13 is 0xcc, and was compiled as 0x/,
  ],
  [
    'two exchanged relocations',
    ext4,
    module => {
      const list = `.rela${buddy}`;
      const one = module.relocationTo(list, 'folio_unlock');
      const other = module.relocationTo(list, '__filemap_get_folio');
      [one.symbol, other.symbol] = [other.symbol, one.symbol];
    },
    /^the relocation at ext4_mb_load_buddy_gfp\+0x\w+ leads to 'folio_unlock', and the source means '__filemap_get_folio'$/,
  ],
  [
    'two exchanged klp relocations',
    ext4,
    module => {
      const [one, other] = module.relocations(`.klp.rela.vmlinux.${group}`);
      assert.ok(one && other);
      [one.symbol, other.symbol] = [other.symbol, one.symbol];
    },
    /leads to 'ext4_mb_init_cache' of 'vmlinux', and the source means 'ext4_get_group_info'$/,
  ],
  [
    'a wrong addend',
    ext4,
    module => (module.relocationTo(`.rela${buddy}`, 'vmemmap_base').r_addend += 8n),
    /leads to 'vmemmap_base'\+0x8, and the source means 'vmemmap_base'$/,
  ],
  [
    'a wrong addend of a reference to a message',
    ext4,
    module => (module.relocationTo(`.rela${buddy}`, '.rodata.str1.8').r_addend += 1n),
    /^the relocation at ext4_mb_load_buddy_gfp\+0x\w+ leads to "\w.*, and the source means "/,
  ],
  [
    'a relocation of another type',
    ext4,
    module => (module.relocationTo(`.rela${buddy}`, 'vmemmap_base').r_type = 10),
    /is R_X86_64_32, and was compiled as R_X86_64_PC32$/,
  ],
  [
    'a relocation too few',
    ext4,
    module => module.relocations(`.rela${buddy}`).pop(),
    /^the relocation at ext4_mb_load_buddy_gfp\+0x\w+ is missing$/,
  ],
  [
    'a relocation too many',
    ext4,
    module => {
      const entry = module.relocationTo(`.rela${buddy}`, 'vmemmap_base');
      module.relocations(`.rela${buddy}`).push({ ...entry, r_offset: 0x10 });
    },
    /^the module has a relocation at ext4_mb_load_buddy_gfp\+0x10, and the compiled unit has none$/,
  ],
  [
    'a reference to what nobody exports',
    ext4,
    module => {
      for (const symbol of module.builder.symbols())
        if (symbol.name === 'folio_unlock') symbol.name = 'ext4_mb_init_cache';
    },
    /leads to 'ext4_mb_init_cache', and the source means 'folio_unlock'$/,
  ],
  [
    'a sympos that the kernel does not have',
    ext4,
    module => renameKlpSymbol(module, 'ext4_get_group_info', 2),
    /'vmlinux' has 1 symbols named 'ext4_get_group_info', and sympos is 2$/,
  ],
  [
    'the sympos of a namesake',
    namei,
    module => renameKlpSymbol(module, 'may_create', 2),
    /leads to 'may_create' of 'vmlinux' at sympos 2, and the shipped code of this unit means another of that name$/,
  ],
  [
    'no sympos where there are namesakes',
    namei,
    module => renameKlpSymbol(module, 'may_create', 0),
    /'vmlinux' has 2 symbols named 'may_create', and sympos 0 wants one$/,
  ],
  [
    'a dropped bug entry',
    ext4,
    module => dropLastEntry(module, '__bug_table', 12),
    /^__bug_table lacks its entry about ext4_mb_load_buddy_gfp\+0x/,
  ],
  [
    'a dropped exception entry',
    tables,
    module => dropLastEntry(module, '__ex_table', 12),
    /^__ex_table lacks its entry about filldir64\+0x/,
  ],
  [
    'a dropped alternative',
    tables,
    module => dropLastEntry(module, '.altinstructions', 12),
    /^\.altinstructions lacks its entry about \w+\+0x/,
  ],
  [
    'a dropped ftrace site',
    ext4,
    module => dropFirstEntry(module, '__mcount_loc', 8),
    /^__mcount_loc lacks its entry about ext4_mb_/,
  ],
  [
    'a bug entry about another place',
    ext4,
    module => (lastBug(module).r_addend += 2n),
    /^the entry at __bug_table\+0x\w+ is stale: the compiled unit has none about ext4_mb_load_buddy_gfp\+0x/,
  ],
  [
    'a bug entry about nothing',
    ext4,
    module => (lastBug(module).r_addend += 0x4000n),
    /^the entry at __bug_table\+0x\w+ is stale: it is about no function of the livepatch$/,
  ],
  [
    'a bug entry that says something else',
    ext4,
    module => (module.bytes('__bug_table')[10] = 0xff),
    /^the byte at __bug_table\+0xa is 0xff, and was compiled as 0x/,
  ],
  [
    'an exception that goes on elsewhere',
    tables,
    module => (relocationAt(module, '__ex_table', 4).r_addend += 4n),
    /^the relocation at __ex_table\+0x4 leads to 'filldir64'\+0x.* and the source means 'filldir64'\+0x/,
  ],
  [
    'an alternative with another replacement',
    tables,
    module => (relocationAt(module, '.altinstructions', 4).r_addend += 1n),
    /^the byte at \.altinstr_replacement\+0x0 is 0x\w\w, and was compiled as 0x48$/,
  ],
  [
    'a static branch that is still a jump',
    tables,
    module => {
      const site = relocationAt(module, '__jump_table', 0);
      module.bytes(module.targetOf(site))[Number(site.r_addend)] = 0xeb;
    },
    /^the byte at (\w+)\+0x\w+ is 0xeb, and was compiled as 0x/,
  ],
  [
    'a static branch with another key',
    tables,
    module => (relocationAt(module, '__jump_table', 8).r_addend ^= 16n),
    /^the relocation at __jump_table\+0x8 leads to '__tracepoint_mark_victim'\+0x/,
  ],
  [
    'a caller of a carried function that livepatch is not told about',
    pivot,
    dropFirstFunction,
    /^the patch changes __do_sys_pivot_root\(\), and the module does not replace it$/,
  ],
  [
    'a changed caller that livepatch is not told about',
    ext4,
    dropFirstFunction,
    /^the patch changes ext4_mb_\w+\(\), and the module does not replace it$/,
  ],
  [
    'the wrong new function',
    ext4,
    module => {
      const [one, other] = module.relocations('.rela.data').filter(entry => isFunction(module, entry));
      assert.ok(one && other);
      [one.symbol, other.symbol] = [other.symbol, one.symbol];
      [one.r_addend, other.r_addend] = [other.r_addend, one.r_addend];
    },
    /^the module replaces ext4_mb_\w+\(\) by ext4_mb_\w+\(\)\+0x0$/,
  ],
  [
    'a static call with another key',
    ext4,
    module => {
      const unlock = module.relocationTo(`.rela${buddy}`, 'folio_unlock');
      const [, key] = module.relocations('.rela.static_call_sites');
      assert.ok(key && unlock.symbol !== undefined);
      key.symbol = unlock.symbol;
    },
    /^the entry at \.static_call_sites\+0x0 has key '.*', and the call is of '__SCT__might_resched'$/,
  ],
  [
    'the address of a new function where the kernel wants the old one',
    tables,
    module => {
      const { builder } = module;
      const name = '.klp.sym.vmlinux.filldir64,0';
      for (const { name: list, content } of builder.sections()) {
        if (content.kind !== 'relocations') continue;
        const at = content.entries.findIndex(entry => module.targetOf(entry) === name);
        const [entry] = at < 0 ? [] : content.entries.splice(at, 1);
        if (entry === undefined) continue;
        const symbol = builder.sectionSymbol(module.section('.text.filldir64').id);
        module.relocations(list.replace('.klp.rela.vmlinux.', '.rela')).push({ ...entry, symbol });
        return;
      }
      assert.fail(`nothing refers to '${name}'`);
    },
    /^the relocation at \w+\+0x\w+ hands out the address of the new filldir64\(\), which the running kernel does not know$/,
  ],
  [
    "symbols of vmlinux in a module's list",
    ext4,
    module => (module.section(`.klp.rela.vmlinux.${group}`).name = `.klp.rela.ext4.${group}`),
    /is applied when 'ext4' is there, and it is 'vmlinux' that has to be: it leads to 'ext4_get_group_info'/,
  ],
  [
    "symbols of a module in vmlinux' list",
    dummy,
    module => {
      for (const section of module.builder.sections())
        if (section.name.startsWith('.klp.rela.dummy.'))
          section.name = section.name.replace('.dummy.', '.vmlinux.');
    },
    /is applied when 'vmlinux' is there, and it is 'dummy' that has to be: it leads to 'numdummies' of 'dummy'$/,
  ],
  [
    'klp symbols in an ordinary list',
    ext4,
    module => (module.section(`.klp.rela.vmlinux.${group}`).name = `.rela${group}`),
    /is in the ordinary list '\.rela\.text\.ext4_mb_init_group', which livepatch does not look at$/,
  ],
];

for (const [name, livepatchOf, how, pattern] of mutants) {
  test(`consultOracle() finds ${name}`, async () => oneOf(await findingsOf(livepatchOf, how), pattern));
}

test('consultOracle() finds a changed caller that the builder forgot altogether', async () => {
  const [unit] = ext4.question.units;
  assert.ok(unit);
  const patched = unit.patched.filter(({ name }) => name !== 'ext4_mb_init_group');
  const texts = await findingsOf(ext4, dropFirstFunction, { units: [{ ...unit, patched }] });
  oneOf(texts, /^the patch changes ext4_mb_init_group\(\), and the module does not replace it$/);
});

test('consultOracle() finds a unit that the builder took for unchanged', async () => {
  const [unit] = ext4.question.units;
  assert.ok(unit);
  const forgotten = { ...unit, linkedAs: undefined, patched: [] };
  const texts = await findingsOf(namei, () => {}, { units: [...namei.question.units, forgotten] });
  assert.ok(texts.includes('the patch changes ext4_mb_load_buddy_gfp(), and the module does not replace it'));
});

function renameKlpSymbol({ builder }: SpoiledModule, name: string, sympos: number): void {
  const symbol = builder.symbols().find(each => each.name.startsWith(`.klp.sym.vmlinux.${name},`));
  assert.ok(symbol, `the module does not look up '${name}'`);
  symbol.name = `.klp.sym.vmlinux.${name},${sympos}`;
}

function dropLastEntry(module: SpoiledModule, table: string, size: number): void {
  const section = module.section(table);
  const bytes = module.bytes(table);
  section.content = { kind: 'bytes', bytes: bytes.subarray(0, bytes.length - size) };
  const entries = module.relocations(`.rela${table}`);
  entries.splice(0, entries.length, ...entries.filter(({ r_offset }) => r_offset < bytes.length - size));
}

function dropFirstEntry(module: SpoiledModule, table: string, size: number): void {
  const section = module.section(table);
  section.content = { kind: 'bytes', bytes: module.bytes(table).subarray(size) };
  const entries = module.relocations(`.rela${table}`);
  const kept = entries.filter(({ r_offset }) => r_offset >= size);
  entries.splice(0, entries.length, ...kept.map(entry => ({ ...entry, r_offset: entry.r_offset - size })));
}

/** The relocation at an offset in a table, whichever list it is in. */
function relocationAt({ builder, section }: SpoiledModule, table: string, offset: number) {
  for (const { content } of builder.relocationSectionsOf(section(table).id)) {
    const entry =
      content.kind === 'relocations' && content.entries.find(({ r_offset }) => r_offset === offset);
    if (entry) return entry;
  }
  throw new Error(`'${table}' has no relocation at ${offset}`);
}

function lastBug(module: SpoiledModule) {
  const entry = module.relocations('.rela__bug_table').at(-2);
  assert.ok(entry);
  return entry;
}

/** The array of functions begins with its second element. */
function dropFirstFunction(module: SpoiledModule): void {
  const entries = module.relocations('.rela.data');
  const at = entries.findIndex(entry => isFunction(module, entry));
  entries.splice(at - 1, 2);
}

/** Whether a relocation of the wrapper's data is to a new function. */
function isFunction(module: SpoiledModule, entry: ReturnType<SpoiledModule['relocationTo']>): boolean {
  return module.targetOf(entry).startsWith('.text.ext4_mb_') || module.targetOf(entry).startsWith('ext4_mb_');
}
