import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SHN } from '@kstitch/elf/constants';
import { editElf } from '@kstitch/elf/edit';
import type { ObjectBuilder, RelocationEntry } from '@kstitch/elf/object-builder';
import { readElf } from '@kstitch/elf/read';
import { writeElf } from '@kstitch/elf/write';
import type { KernelSymbol } from '@kstitch/kernel/kallsyms';
import { parseSymvers } from '@kstitch/kernel/symvers';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { checkLivepatch } from './check.ts';
import { type FixtureOptions, fixtureModule, fixturePlan } from './fixture-module.ts';
import type { KernelWorld } from './kernel-world.ts';
import type { LivepatchPlan } from './plan.ts';
import { postLink } from './post-link.ts';

const skip = missingCompiler;

/** `/proc/kallsyms` of a kernel that has just what the fixture needs; `m` marks an ftrace site there. */
const kallsyms = `
ffffffff81000000 t cmdline_proc_show
ffffffff81000100 t cmdline_proc_show m
ffffffff81000200 t meminfo_proc_show m+4
ffffffff81000300 t show_val_kb
ffffffff81000400 t untraceable
ffffffff82000000 D __init_begin
ffffffff82000100 t setup_once m
ffffffff83000000 D __init_end
ffffffff84000000 B sched_schedstats
`;

const symvers = [
  '0x00001111\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t',
  '0x00002222\tklp_enable_patch\tvmlinux\tEXPORT_SYMBOL_GPL\t',
  '0x00003333\t__fentry__\tvmlinux\tEXPORT_SYMBOL\t',
  '0x00004444\t__x86_return_thunk\tvmlinux\tEXPORT_SYMBOL\t',
].join('\n');

/** The shipped module, with an ftrace site in `nft_do_chain` and init memory. */
const nfTables = skip
  ? new Uint8Array()
  : compileC(
      `__attribute__((noinline)) static void nft_trace_notify(void) { asm volatile(""); }
       __attribute__((used)) static void nft_do_chain(void) { nft_trace_notify(); }
       __attribute__((used, no_instrument_function)) static void nft_quiet(void) {}
       __attribute__((used, section(".init.text"))) static void setup(void) {}`,
      ['-mfentry', '-pg', '-mrecord-mcount', '-fno-toplevel-reorder'],
    );

function worldOf(symbols = kallsyms, exports = symvers): KernelWorld {
  const lines = symbols
    .trim()
    .split('\n')
    .map(line => line.split(' '));
  const all = lines.map(
    ([address = '', type = '', name = ''], index): KernelSymbol => ({
      index,
      name,
      type,
      address: BigInt(`0x${address}`),
    }),
  );
  const sites = new Set(
    lines.flatMap(([address, , , site]) =>
      site === undefined ? [] : [BigInt(`0x${address}`) + (site === 'm+4' ? 4n : 0n)],
    ),
  );
  return {
    release: '6.1.0-55-cloud-amd64',
    kallsyms: { named: name => all.filter(symbol => symbol.name === name) },
    symvers: parseSymvers(exports),
    layout: {
      module: { size: 0x380, name: 0x18, init: 0x138, exit: 0x350 },
      jumpEntry: { size: 16, code: 0, target: 4, key: 8 },
    },
    ftraceSites: sites,
    shippedModule: shipping(nfTables),
  };
}

/** A kernel that ships nf_tables as given, and dummy, in which nothing is looked up. */
function shipping(nf: Uint8Array): KernelWorld['shippedModule'] {
  return name =>
    name === 'nf_tables' ? readElf(nf, name) : name === 'dummy' ? readElf(nfTables, name) : undefined;
}

interface Broken {
  readonly fixture?: FixtureOptions;
  readonly plan?: Partial<LivepatchPlan>;
  readonly world?: Partial<KernelWorld>;
  /** Changes the module after post-link. */
  readonly change?: (builder: ObjectBuilder) => void;
}

function findings({ fixture, plan = {}, world = {}, change = () => {} }: Broken = {}): string[] {
  const linked = postLink(fixtureModule(fixture), fixturePlan);
  const { builder } = editElf(readElf(linked, 'a.ko'));
  change(builder);
  return checkLivepatch(writeElf(builder), { ...fixturePlan, ...plan }, { ...worldOf(), ...world }).map(
    ({ code, text }) => `${code}: ${text}`,
  );
}

function relocation(builder: ObjectBuilder, section: string, index = 0): RelocationEntry {
  const content = builder.sectionsNamed(section)[0]?.content;
  assert.ok(content?.kind === 'relocations');
  return content.entries[index]!;
}

test('checkLivepatch() finds nothing in a good module', { skip }, () => {
  assert.deepEqual(findings(), []);
});

const renamed = (from: string, to: string) => (builder: ObjectBuilder) => {
  for (const symbol of builder.symbols()) if (symbol.name === from) symbol.name = to;
};
const withFunction = (oldName: string, oldSympos = 0, object = 'vmlinux'): Partial<LivepatchPlan> => ({
  objects: fixturePlan.objects.map(patched => ({
    ...patched,
    functions: [
      ...patched.functions,
      ...(patched.name === object ? [{ oldName, oldSympos, unit: 'a.c', newSymbol: 'kstitch_new_9' }] : []),
    ],
  })),
});
const referring = (object: string, name: string, sympos: number, gate = object): Broken => ({
  plan: { references: [...fixturePlan.references, { linkName: name, object, name, sympos, gate }] },
  change: renamed('.klp.sym.vmlinux.show_val_kb,1', `.klp.sym.${object}.${name},${sympos}`),
});

for (const [what, broken, expected] of [
  [
    'no unwind tables',
    { fixture: { broken: ['no_orc'] } },
    [
      "livepatch-orc-missing: '.text' has no entry in '.orc_unwind_ip'",
      "livepatch-orc-missing: '.text.nf' has no entry in '.orc_unwind_ip'",
      "livepatch-orc-missing: '.text.notice' has no entry in '.orc_unwind_ip'",
      "livepatch-orc-missing: '.text.unlikely' has no entry in '.orc_unwind_ip'",
    ],
  ],
  [
    'an undefined unwind state',
    {
      change: b => {
        const s = b.sectionsNamed('.orc_unwind')[0]!;
        s.content = { kind: 'bytes', bytes: new Uint8Array(36).fill(5, 0, 24).fill(5, 30) };
      },
    },
    ["livepatch-orc-missing: '.orc_unwind' does not say how to unwind '.text.nf+0x0'"],
  ],
  [
    'no return sites',
    { fixture: { broken: ['no_return_sites'] } },
    [
      "livepatch-return-site-missing: the return at '.text+0x25' is not in '.return_sites'",
      /.text\+0x11/,
      /.text\+0x3d/,
      /.text.nf\+0xf/,
      /.text.notice\+0x5/,
      /.text.unlikely\+0xc/,
    ],
  ],
  [
    'a bare return',
    { fixture: { broken: ['bare_return'] } },
    ["livepatch-return-site-missing: the return at '.text+0x3c' does not go through __x86_return_thunk"],
  ],
  [
    'a conditional return that is not listed',
    { fixture: { broken: ['conditional_return'] } },
    ["livepatch-return-site-missing: the return at '.text+0x3c' is not in '.return_sites'"],
  ],
  [
    'a raw jump at a static branch',
    { fixture: { broken: ['raw_jump'] } },
    ["livepatch-jump-label-raw: the static branch at '.text+0x3a' is eb 01, not a NOP"],
  ],
  [
    'a jump entry without code',
    {
      change: b => {
        relocation(b, '.rela__jump_table').r_offset = 4;
        relocation(b, '.rela__jump_table', 1).r_type = 0;
      },
    },
    [/^livepatch-jump-label-raw: entry 0 of '__jump_table' does not lead to code/],
  ],
  [
    'a relocated field that is not zero',
    { fixture: { broken: ['stale_field'] } },
    ["livepatch-relocation-field: '.text.nf+0xf' is relocated and holds ff ff ff ff, not zero"],
  ],
  [
    'an unknown relocation type',
    { fixture: { broken: ['unknown_type'] } },
    ["livepatch-relocation-unknown: '.rela.text.nf' has a relocation of type 9 at '.text.nf+0xf'"],
  ],
  [
    'a field beyond the section',
    {
      change: b => {
        relocation(b, '.klp.rela.nf_tables..data.only_klp').r_offset = 4;
      },
    },
    [/type 1 at '.data.only_klp\+0x4', which reaches beyond the section/],
  ],
  [
    'one field relocated twice',
    { fixture: { broken: ['twice'] } },
    ["livepatch-relocation-twice: '.text.nf+0xf' is relocated by '.rela.text.nf' and '.rela.text.nf'"],
  ],
  [
    'fields that overlap',
    {
      change: b => {
        relocation(b, '.klp.rela.vmlinux..text.nf').r_offset -= 2;
      },
    },
    [
      /^livepatch-relocation-field: '.text.nf\+0x9'/,
      "livepatch-relocation-twice: '.text.nf+0x9' is relocated by '.klp.rela.nf_tables..text.nf' and '.klp.rela.vmlinux..text.nf'",
    ],
  ],
  [
    'a klp section without its flag',
    {
      change: b => {
        b.sectionsNamed('.klp.rela.vmlinux..text')[0]!.sh_flags = 0x42;
      },
    },
    [/^livepatch-klp-symbol-malformed: '.klp.rela.vmlinux..text' lacks the flag/],
  ],
  [
    'an ordinary symbol in a klp section',
    {
      change: b => {
        relocation(b, '.klp.rela.vmlinux..text').symbol = relocation(b, '.rela.text').symbol;
      },
    },
    [/^livepatch-klp-symbol-malformed: '.klp.rela.vmlinux..text' relocates with '__fentry__'/],
  ],
  [
    'a klp symbol in an ordinary section',
    {
      change: b => {
        relocation(b, '.rela.text').symbol = relocation(b, '.klp.rela.vmlinux..text').symbol;
      },
    },
    [/^livepatch-klp-symbol-malformed: '.rela.text' relocates with klp symbol/],
  ],
  [
    'a vmlinux symbol gated by a module',
    {
      change: b => {
        relocation(b, '.klp.rela.nf_tables..text.nf').symbol = relocation(
          b,
          '.klp.rela.vmlinux..text',
        ).symbol;
      },
    },
    [
      /^livepatch-klp-symbol-malformed: '.klp.sym.vmlinux.show_val_kb,1' of vmlinux is gated by module 'nf_tables'/,
    ],
  ],
  [
    'a table that waits for a module',
    {
      plan: fixturePlan,
      change: b => {
        b.sectionsNamed('.klp.rela.vmlinux.__jump_table')[0]!.name = '.klp.rela.nf_tables.__jump_table';
        relocation(b, '.klp.rela.nf_tables.__jump_table').symbol = relocation(
          b,
          '.klp.rela.nf_tables..text.nf',
        ).symbol;
      },
    },
    [/^livepatch-late-relocation: '__jump_table' waits for module 'nf_tables'/],
  ],
  [
    'a gate that is not patched',
    {
      change: b => {
        b.sectionsNamed('.klp.rela.nf_tables..text.nf')[0]!.name = '.klp.rela.ext4..text.nf';
      },
    },
    [
      /^livepatch-klp-symbol-malformed: '.klp.rela.ext4..text.nf' waits for 'ext4', which the livepatch does not patch/,
    ],
  ],
  [
    'a klp symbol that is not marked',
    {
      change: b => {
        const s = b.symbol(relocation(b, '.klp.rela.vmlinux.__jump_table').symbol!);
        s.place = { st_shndx: SHN.ABS };
      },
    },
    [
      /^livepatch-klp-symbol-malformed: '.klp.rela.vmlinux.__jump_table' relocates with/,
      /is not marked as a klp symbol/,
    ],
  ],
  [
    'a klp symbol without sympos',
    { change: renamed('.klp.sym.vmlinux.show_val_kb,1', '.klp.sym.vmlinux.show_val_kb') },
    [/is no name of a klp symbol/],
  ],
  [
    'a klp symbol that was not planned',
    { plan: { references: fixturePlan.references.slice(1) } },
    ["livepatch-plan-unmet: the module looks up '.klp.sym.vmlinux.show_val_kb,1', which is not planned"],
  ],
  [
    'a symbol that the kernel lacks',
    referring('vmlinux', 'nowhere', 0),
    ["livepatch-symbol-missing: 'vmlinux' has no symbol named 'nowhere'"],
  ],
  [
    'a rank that the kernel lacks',
    referring('vmlinux', 'cmdline_proc_show', 3),
    ["livepatch-symbol-missing: 'vmlinux' has 2 symbols named 'cmdline_proc_show', not 3"],
  ],
  [
    'an ambiguous symbol',
    referring('vmlinux', 'cmdline_proc_show', 0),
    [
      "livepatch-symbol-ambiguous: 'vmlinux' has 2 symbols named 'cmdline_proc_show' and sympos 0 names none of them",
    ],
  ],
  [
    'a symbol in init memory of the kernel',
    referring('vmlinux', 'setup_once', 0),
    [/^livepatch-symbol-init: 'vmlinux' has 'setup_once' in init memory, which is freed after boot/],
  ],
  [
    'a symbol of an unknown module',
    {
      ...referring('vmlinux', 'x', 0),
      change: b => {
        renamed('.klp.sym.nf_tables.nft_trace_notify,0', '.klp.sym.ext4.nft_trace_notify,0')(b);
      },
      plan: {
        references: [
          ...fixturePlan.references,
          { linkName: 'x', object: 'ext4', name: 'nft_trace_notify', sympos: 0, gate: 'nf_tables' },
        ],
      },
    },
    [
      /^livepatch-klp-symbol-malformed: .* needs 'ext4', which need not be loaded when 'nf_tables' is/,
      /^livepatch-klp-symbol-malformed: .* needs 'ext4'/,
      /^livepatch-object-unknown: kernel 6.1.0-55-cloud-amd64 ships no module 'ext4'/,
    ],
  ],
  [
    "a symbol in a module's init memory",
    {
      plan: {
        references: [
          ...fixturePlan.references,
          { linkName: 'x', object: 'nf_tables', name: 'setup', sympos: 0, gate: 'nf_tables' },
        ],
      },
      change: renamed('.klp.sym.nf_tables.nft_trace_notify,0', '.klp.sym.nf_tables.setup,0'),
    },
    [/^livepatch-symbol-init: 'nf_tables' has 'setup' in init memory/],
  ],
  [
    'a function that the module does not patch',
    { plan: withFunction('meminfo_proc_show', 1) },
    [/^livepatch-plan-unmet: the module does not patch 'meminfo_proc_show'/],
  ],
  [
    'a function without an ftrace site',
    { plan: withFunction('untraceable') },
    [
      /^livepatch-plan-unmet/,
      "livepatch-function-untraceable: 'vmlinux' has no ftrace site at the start of 'untraceable'",
    ],
  ],
  [
    'a function of a module without an ftrace site',
    { plan: withFunction('nft_quiet', 0, 'nf_tables') },
    [
      /^livepatch-plan-unmet/,
      "livepatch-function-untraceable: 'nf_tables' has no ftrace site at the start of 'nft_quiet'",
    ],
  ],
  [
    'data instead of a function',
    { plan: withFunction('sched_schedstats') },
    [
      /^livepatch-function-unknown: 'sched_schedstats' of 'vmlinux' is not a function/,
      /^livepatch-plan-unmet/,
    ],
  ],
  [
    'a function that is not planned',
    { plan: { objects: fixturePlan.objects.map(o => ({ ...o, functions: o.functions.slice(0, 1) })) } },
    [/^livepatch-plan-unmet: the module patches 'cmdline_proc_show', sympos 2, .* which is not planned/],
  ],
  [
    'a callback that is not planned, and one that is planned and not there',
    {
      plan: {
        objects: fixturePlan.objects.map(o => ({
          ...o,
          callbacks: o.callbacks.map(c =>
            c.kind === 'pre_unpatch' ? { ...c, kind: 'post_unpatch' as const } : c,
          ),
        })),
      },
    },
    [
      "livepatch-plan-unmet: no part of the module calls notice() as post_unpatch callback of 'dummy', as planned",
      "livepatch-plan-unmet: the module calls notice() as pre_unpatch callback of 'dummy', which is not planned",
    ],
  ],
  [
    'a system state of another version',
    { fixture: { define: { STATE_VERSION: '3' } } },
    [
      'livepatch-plan-unmet: no part of the module names system state 7 with version 2, as planned',
      'livepatch-plan-unmet: the module names system state 7 with version 3, which is not planned',
    ],
  ],
  [
    'callbacks of a module that the kernel does not have',
    { world: { shippedModule: name => (name === 'nf_tables' ? readElf(nfTables, name) : undefined) } },
    ["livepatch-object-unknown: kernel 6.1.0-55-cloud-amd64 ships no module 'dummy'"],
  ],
  [
    'a struct module of another kernel',
    { fixture: { define: { THIS_MODULE_SIZE: '0x500' } } },
    [
      "livepatch-this-module: '.gnu.linkonce.this_module' has 1280 bytes, struct module of this kernel has 896",
    ],
  ],
  [
    'init and exit at other places',
    {
      world: {
        layout: { ...worldOf().layout, module: { size: 0x380, name: 0x18, init: 0x140, exit: 0x350 } },
      },
    },
    [/^livepatch-this-module: .* pointers at bytes 312, 848, this kernel has init and exit at 320, 848/],
  ],
  [
    'another name in struct module',
    {
      world: {
        layout: { ...worldOf().layout, module: { size: 0x380, name: 0x20, init: 0x138, exit: 0x350 } },
      },
    },
    [/^livepatch-this-module: .* does not name 'kstitch_fixture_00000000' at byte 32/],
  ],
  [
    'another license',
    { fixture: { define: { LICENSE: '"Proprietary"' } } },
    ["livepatch-modinfo: modinfo has license 'Proprietary', and livepatch is for GPL modules only"],
  ],
  [
    'a module that is no livepatch',
    { fixture: { define: { NOT_LIVEPATCH: '1' } } },
    [/^livepatch-modinfo: modinfo does not say/],
  ],
  [
    'another release',
    { world: { release: '6.1.0-56-cloud-amd64' } },
    [
      "livepatch-wrong-release: the module is for '6.1.0-55-cloud-amd64', the kernel is '6.1.0-56-cloud-amd64'",
    ],
  ],
  [
    'a dependence on what is patched',
    { fixture: { define: { DEPENDS: '"nf_tables"' } } },
    ["livepatch-depends: the livepatch depends on 'nf_tables', which it patches"],
  ],
  [
    'a wrong CRC',
    { fixture: { define: { CRC_FENTRY: '0x3334' } } },
    ["livepatch-crc: '__versions' has 0x00003334 for '__fentry__', the kernel has 0x00003333"],
  ],
  [
    'another module_layout',
    { world: { symvers: worldOf(kallsyms, symvers.replace('0x00001111', '0x00001112')).symvers } },
    [/^livepatch-crc: .* for 'module_layout'/],
  ],
  [
    'a symbol that is not exported',
    { change: renamed('klp_enable_patch', 'klp_disable_patch') },
    ["livepatch-undefined: the kernel does not export 'klp_disable_patch'"],
  ],
  [
    'an export without a version',
    {
      change: b => {
        b.sectionsNamed('__versions')[0]!.content = { kind: 'bytes', bytes: new Uint8Array(0) };
      },
    },
    [/has no entry for '__fentry__'/, /'__x86_return_thunk'/, /'klp_enable_patch'/, /'module_layout'/],
  ],
  [
    'a namespace that is not imported',
    {
      world: {
        symvers: worldOf(
          kallsyms,
          symvers.replace(
            'klp_enable_patch\tvmlinux\tEXPORT_SYMBOL_GPL\t',
            'klp_enable_patch\tvmlinux\tEXPORT_SYMBOL_GPL\tKLP',
          ),
        ).symvers,
      },
    },
    [
      "livepatch-namespace: 'klp_enable_patch' is exported in namespace 'KLP', which the module does not import",
    ],
  ],
  [
    'a weak undefined symbol',
    {
      change: b => {
        b.symbols().find(s => s.name === 'klp_enable_patch')!.bind = 2;
      },
    },
    [/^livepatch-weak-undefined: nothing says where 'klp_enable_patch' is/],
  ],
  [
    'a name that a shipped module has',
    { world: { shippedModule: () => readElf(nfTables, 'nf_tables') } },
    [/^livepatch-module-name-taken/],
  ],
] as const satisfies readonly (readonly [string, Broken, readonly (string | RegExp)[]])[]) {
  test(`checkLivepatch() finds ${what}`, { skip }, () => {
    const found = findings(broken);
    assert.equal(found.length, expected.length, found.join('\n'));
    for (const text of expected) {
      const matches = (line: string) => (typeof text === 'string' ? line === text : text.test(line));
      assert.ok(found.some(matches), `${text}\nnot in\n${found.join('\n')}`);
    }
  });
}

test('checkLivepatch() counts a name twice that a module also has in init memory', { skip }, () => {
  const twice = compileC(
    `__attribute__((noinline)) static void nft_trace_notify(void) { asm volatile(""); }
     __attribute__((used)) static void nft_do_chain(void) { nft_trace_notify(); }
     asm(".pushsection .init.text, \\"ax\\"\\n.type setup, @function\\nsetup: ret\\n.size setup, 1\\n.popsection");`,
    ['-mfentry', '-pg', '-mrecord-mcount'],
  );
  const { builder } = editElf(readElf(twice, 'nf_tables'));
  // The compiler gives no two symbols one name, the linker of two units does.
  renamed('setup', 'nft_trace_notify')(builder);
  const moved = writeElf(builder);
  const references = [
    ...fixturePlan.references,
    { linkName: 'x', object: 'nf_tables', name: 'nft_trace_notify', sympos: 1, gate: 'nf_tables' },
    { linkName: 'y', object: 'nf_tables', name: 'nft_trace_notify', sympos: 2, gate: 'nf_tables' },
  ];
  const expected = ['livepatch-symbol-init', 'livepatch-symbol-moves'];
  const found = [1, 2].map(sympos => {
    const [finding, ...more] = findings({
      plan: { references },
      world: { shippedModule: shipping(moved) },
      change: renamed(
        '.klp.sym.nf_tables.nft_trace_notify,0',
        `.klp.sym.nf_tables.nft_trace_notify,${sympos}`,
      ),
    });
    assert.deepEqual(more, []);
    return finding?.split(':', 1)[0];
  });
  // Which of the two comes first is up to the assembler.
  assert.deepEqual(new Set(found), new Set(expected));
});

test('checkLivepatch() accepts a symbol of what the gating module needs, however far down', { skip }, () => {
  const modinfo = (depends: string, more = '') =>
    readElf(
      compileC(
        `__attribute__((section(".modinfo"), used)) static const char depends[] = "depends=${depends}"; ${more}`,
        ['-mfentry', '-pg', '-mrecord-mcount'],
      ),
      'a.ko',
    );
  const modules = new Map([
    ['nf_tables', modinfo('libcrc32c', '__attribute__((used)) static void nft_do_chain(void) {}')],
    ['libcrc32c', modinfo('crc-t10dif')],
    ['crc_t10dif', modinfo('', '__attribute__((used)) static void crc(void) {}')],
    ['dummy', modinfo('')],
  ]);
  const references = [
    ...fixturePlan.references,
    { linkName: 'crc', object: 'crc_t10dif', name: 'crc', sympos: 0, gate: 'nf_tables' },
  ];
  const found = findings({
    plan: { references },
    world: { shippedModule: name => modules.get(name) },
    change: renamed('.klp.sym.nf_tables.nft_trace_notify,0', '.klp.sym.crc_t10dif.crc,0'),
  });
  assert.deepEqual(found, []);
});
