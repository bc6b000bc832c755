import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasFlag, SHF, SHN, SHT, STB } from '@kstitch/elf/constants';
import { readElf } from '@kstitch/elf/read';
import { compileC, missingCompiler, readelfText } from '@kstitch/testkit/compile';
import { fixtureModule, fixturePlan } from './fixture-module.ts';
import type { LivepatchPlan } from './plan.ts';
import { postLink } from './post-link.ts';
import { readRelocatedModule } from './relocated-module.ts';

const skip = missingCompiler;

const linked = skip ? new Uint8Array() : fixtureModule();
const [vmlinux, ...others] = fixturePlan.objects;

function relocationsOf(bytes: Uint8Array) {
  const { file, groups } = readRelocatedModule(readElf(bytes, 'a.ko'));
  return groups.flatMap(({ source, target, entries }) =>
    entries.map(({ r_offset, r_type, r_sym, r_addend }) => {
      const symbol = file.symbols[r_sym];
      const name = symbol?.name || symbol?.section?.name;
      return { source: source.name, target: target.name, r_offset, r_type, r_addend, name };
    }),
  );
}

test('postLink() makes klp symbols of planned weak symbols', { skip }, () => {
  const file = readElf(postLink(linked, fixturePlan), 'a.ko');
  const klp = file.symbols.filter(({ name }) => name.startsWith('.klp.sym.'));
  assert.deepEqual(
    klp.map(({ name, st_shndx, bind }) => [name, st_shndx, bind]),
    [
      ['.klp.sym.vmlinux.show_val_kb,1', SHN.LIVEPATCH, STB.GLOBAL],
      ['.klp.sym.vmlinux.sched_schedstats,0', SHN.LIVEPATCH, STB.GLOBAL],
      ['.klp.sym.nf_tables.nft_trace_notify,0', SHN.LIVEPATCH, STB.GLOBAL],
    ],
  );
  assert.ok(!file.symbols.some(({ bind }) => bind === STB.WEAK));
});

test('postLink() moves their relocations, one section a gate and target, and touches no other', {
  skip,
}, () => {
  const before = relocationsOf(linked).filter(({ target }) => !/debug|BTF/.test(target));
  const after = relocationsOf(postLink(linked, fixturePlan));
  const moved = after.filter(({ source }) => source.startsWith('.klp.rela.'));
  assert.deepEqual(
    moved.map(({ source, r_offset, name, r_addend }) => [source, r_offset, name, r_addend]),
    [
      ['.klp.rela.vmlinux..text', 0x36, '.klp.sym.vmlinux.show_val_kb,1', -4n],
      // A symbol of vmlinux is never gated by a module, whatever the plan says.
      ['.klp.rela.vmlinux.__jump_table', 8, '.klp.sym.vmlinux.sched_schedstats,0', 2n],
      ['.klp.rela.vmlinux..text.unlikely', 8, '.klp.sym.vmlinux.show_val_kb,1', -4n],
      ['.klp.rela.nf_tables..text.nf', 6, '.klp.sym.nf_tables.nft_trace_notify,0', -4n],
      ['.klp.rela.vmlinux..text.nf', 0xb, '.klp.sym.vmlinux.show_val_kb,1', -4n],
      ['.klp.rela.nf_tables..data.only_klp', 0, '.klp.sym.nf_tables.nft_trace_notify,0', 0n],
    ],
  );
  const weak = new Set(fixturePlan.references.map(({ linkName }) => linkName));
  const aliases = new Map(
    fixturePlan.objects.flatMap(({ functions, callbacks }) => [
      ...functions.map(f => [f.newSymbol, f.oldName] as const),
      ...callbacks.map(({ newSymbol, name }) => [newSymbol, name] as const),
    ]),
  );
  assert.deepEqual(
    after.filter(({ source }) => !source.startsWith('.klp.rela.')),
    before
      .filter(({ name }) => !weak.has(name ?? ''))
      .map(relocation => ({ ...relocation, name: aliases.get(relocation.name ?? '') ?? relocation.name })),
  );
});

test('postLink() writes klp sections in the form that the kernel knows', { skip }, () => {
  const file = readElf(postLink(linked, fixturePlan), 'a.ko');
  const sections = file.sections.filter(({ name }) => name.startsWith('.klp.rela.'));
  assert.equal(sections.length, 6);
  for (const section of sections) {
    assert.equal(section.sh_type, SHT.RELA);
    assert.equal(section.sh_flags, SHF.ALLOC | SHF.INFO_LINK | SHF.RELA_LIVEPATCH);
    assert.equal(section.sh_entsize, 24);
    assert.equal(section.sh_addralign, 8);
    assert.equal(file.sections[section.sh_link]?.sh_type, SHT.SYMTAB);
    assert.ok(section.name.endsWith(`.${file.sections[section.sh_info]?.name}`));
  }
  assert.match(readelfText(file.bytes, ['-SW']), /\.klp\.rela\.vmlinux\.\.text +RELA .* AIo /);
});

test('postLink() drops the ordinary relocation section that it emptied, and debug information', {
  skip,
}, () => {
  const file = readElf(postLink(linked, fixturePlan), 'a.ko');
  const names = file.sections.map(({ name }) => name);
  assert.ok(names.includes('.data.only_klp') && names.includes('.rela.text.nf'));
  assert.ok(!names.includes('.rela.data.only_klp'));
  assert.deepEqual(
    names.filter(name => /debug|comment|BTF|GNU-stack/.test(name)),
    [],
  );
});

test('postLink() leaves contents of what is loaded as they are', { skip }, () => {
  const contents = (bytes: Uint8Array) =>
    readElf(bytes, 'a.ko')
      .sections.filter(
        ({ sh_flags, sh_type, name }) =>
          hasFlag(sh_flags, SHF.ALLOC) && sh_type !== SHT.RELA && !/BTF|build-id/.test(name),
      )
      .map(({ name, bytes: content }) => [name, Buffer.from(content).toString('hex')]);
  assert.deepEqual(contents(postLink(linked, fixturePlan)), contents(linked));
});

test('postLink() removes the aliases and lets klp_func point to the local functions', { skip }, () => {
  const { file, groups } = readRelocatedModule(readElf(postLink(linked, fixturePlan), 'a.ko'));
  // objtool's prefix symbols of the aliases go with them.
  assert.ok(!file.symbols.some(({ name }) => name.includes('kstitch_new_')));
  const functions = groups
    .filter(({ target }) => target.name === '.data')
    .flatMap(({ entries }) => entries.map(({ r_sym }) => file.symbols[r_sym]))
    .filter(symbol => symbol !== undefined && hasFlag(symbol.section?.sh_flags ?? 0, SHF.EXECINSTR));
  assert.deepEqual(
    functions.map(symbol => [symbol?.name, symbol?.bind]),
    [
      ['meminfo_proc_show', STB.LOCAL],
      ['cmdline_proc_show', STB.LOCAL],
      ['nft_do_chain', STB.LOCAL],
      // Two callbacks.
      ['notice', STB.LOCAL],
      ['notice', STB.LOCAL],
    ],
  );
});

test('postLink() gives equal modules an equal build id, whatever was stripped', { skip }, () => {
  const one = postLink(linked, fixturePlan);
  const other = Uint8Array.from(linked);
  const id = Buffer.from(other).indexOf(Buffer.alloc(20, 0x42));
  other.fill(0x17, id, id + 20);
  assert.deepEqual(postLink(other, fixturePlan), one);
  assert.equal(Buffer.from(one).indexOf(Buffer.alloc(20, 0x42)), -1);
  const changed = postLink(fixtureModule({ define: { LICENSE: '"GPM"' } }), fixturePlan);
  const idOf = (bytes: Uint8Array) => /Build ID: (\w+)/.exec(readelfText(bytes, ['-n']))?.[1];
  assert.match(idOf(one) ?? '', /^[0-9a-f]{40}$/);
  assert.notEqual(idOf(changed), idOf(one));
});

test('postLink() joins two weak symbols of one meaning', { skip }, () => {
  const plan: LivepatchPlan = {
    ...fixturePlan,
    references: fixturePlan.references.map(reference =>
      reference.linkName === 'sched_schedstats'
        ? { ...reference, name: 'show_val_kb', sympos: 1 }
        : reference,
    ),
  };
  const file = readElf(postLink(linked, plan), 'a.ko');
  assert.equal(file.symbols.filter(({ name }) => name === '.klp.sym.vmlinux.show_val_kb,1').length, 1);
});

test('postLink() refuses a weak undefined symbol that is not planned', { skip }, () => {
  assert.throws(() => postLink(fixtureModule({ broken: ['stray_weak'] }), fixturePlan), {
    code: 'livepatch-weak-undefined',
    message: /'stray'/,
  });
});

test('postLink() refuses an alias that is not planned', { skip }, () => {
  const objects = fixturePlan.objects.slice(0, 1);
  assert.throws(() => postLink(linked, { ...fixturePlan, objects }), {
    code: 'livepatch-link-mismatch',
    message: /it defines 'kstitch_new_2', which is not planned/,
  });
});

test('postLink() refuses an alias that is not at the place of the function that it stands for', {
  skip,
}, () => {
  const objects = fixturePlan.objects.map(object => ({
    ...object,
    functions: object.functions.map(f => ({
      ...f,
      oldName: f.oldName === 'meminfo_proc_show' ? 'nft_do_chain' : f.oldName,
    })),
  }));
  assert.throws(() => postLink(linked, { ...fixturePlan, objects }), {
    code: 'livepatch-link-mismatch',
    message: /'kstitch_new_0' is not at the place of a local function 'nft_do_chain'/,
  });
});

test('postLink() refuses a module without a planned function', { skip }, () => {
  const functions = [
    ...(vmlinux?.functions ?? []),
    { oldName: 'f', oldSympos: 0, unit: 'a.c', newSymbol: 'kstitch_new_7' },
  ];
  const objects = [{ name: 'vmlinux', functions, callbacks: [] }, ...others];
  assert.throws(() => postLink(linked, { ...fixturePlan, objects }), { message: /it lacks 'kstitch_new_7'/ });
});

test('postLink() refuses a planned symbol that the module defines', { skip }, () => {
  const references = [
    ...fixturePlan.references,
    { linkName: 'init_module', object: 'vmlinux', name: 'init_module', sympos: 0, gate: 'vmlinux' },
  ];
  assert.throws(() => postLink(linked, { ...fixturePlan, references }), {
    code: 'livepatch-link-mismatch',
    message: /it defines 'init_module'/,
  });
});

test('postLink() says what a file is that is no module', { skip }, () => {
  assert.throws(() => postLink(linked.subarray(0, 5000), fixturePlan), { code: 'elf-truncated' });
  assert.throws(() => postLink(compileC('int a;'), fixturePlan), { code: 'livepatch-link-mismatch' });
});
