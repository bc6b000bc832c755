import assert from 'node:assert/strict';
import { test } from 'node:test';
import { x86_64 } from '@kstitch/arch/x86-64';
import { SHN, STB } from '@kstitch/elf/constants';
import { readElf } from '@kstitch/elf/read';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { entrySizes, kernelFlags, linkSmallKernel, sectionFlags } from '@kstitch/testkit/small-kernel';
import { diffUnit, type UnitDifference } from './diff-unit.ts';
import { extract } from './extract.ts';
import { LinkNames } from './link-names.ts';
import { findPeers, type Peers, readGlobals } from './peers.ts';

const exported = new Set(['__fentry__', '__x86_return_thunk']);

/** One unit before and after. */
interface Source {
  readonly before: string;
  readonly after: string;
}

const compile = (source: string, flags: readonly string[]) =>
  readElf(compileC(source, [...kernelFlags, ...flags]), 'unit.c');

function diffTogether(sources: readonly Source[]): {
  readonly peers: Peers;
  readonly codes: readonly string[];
  readonly differences: readonly UnitDifference[];
} {
  const units = sources.map(({ before, after }, index) => ({
    name: `${index}.c`,
    asShipped: compile(before, []),
    before: compile(before, sectionFlags),
    after: compile(after, sectionFlags),
  }));
  const [unit = '', ...rest] = sources.map(source => source.before);
  const shipped = linkSmallKernel(unit, rest);
  const { peers, diagnostics } = findPeers(
    units.map(u => readGlobals(u.name, u.before, u.after)),
    name => shipped.named(name).some(address => shipped.isGlobal(name, address)),
    () => false,
  );
  const symbols = {
    shipped,
    vmlinux: shipped,
    exporterOf: (name: string) => (exported.has(name) ? 'vmlinux' : undefined),
  };
  return {
    peers,
    codes: diagnostics.map(d => d.code),
    differences: units.map(u => diffUnit(u, symbols, x86_64, entrySizes, peers)),
  };
}

const caller = {
  before: 'int count(int x) { return x * 3 + 1; }\n',
  after:
    'extern int limit;\nint count_new(int x);\nint count(int x) { limit = x; return count_new(x * 3) + 1; }\n',
};
const helper = {
  before: '__attribute__((noinline)) int other(int x) { return x * 5 + 2; }\n',
  after:
    'int limit = 7;\n__attribute__((noinline)) int other(int x) { return x * 5 + 2; }\nint unused(int x) { return x * 7; }\n' +
    'int count_new(int x) { return x > limit ? limit : other(x); }\n',
};

test('a new function and variable of one unit go into the livepatch when another unit uses them', {
  skip: missingCompiler,
}, () => {
  const { differences } = diffTogether([caller, helper]);
  const [first, second] = differences.map(d => d.selection);
  assert.deepEqual(
    first?.patched.map(f => f.oldName),
    ['count'],
  );
  assert.deepEqual(first?.offered, []);
  assert.deepEqual(second?.patched, [], 'no function of the second unit is patched');
  assert.deepEqual(second?.offered.map(atom => atom.name).sort(), ['count_new', 'limit']);
  assert.deepEqual(second?.atoms.map(atom => atom.name).sort(), ['count_new', 'limit']);
});

test('extracted peers meet under one name, which nothing else has', { skip: missingCompiler }, () => {
  const { differences } = diffTogether([caller, helper]);
  const linkNames = new LinkNames(() => false);
  const objects = differences.map(({ selection }) =>
    readElf(
      extract(selection, {
        gate: 'vmlinux',
        linkNames,
        aliasOf: atom => `kstitch_new_${atom.id}`,
        staticCallKey: () => undefined,
      }).object,
      'extracted',
    ),
  );
  const peersOf = (index: number, defined: boolean) =>
    (objects[index]?.symbols ?? [])
      .filter(s => s.name.startsWith('kstitch_peer_') && (s.st_shndx !== SHN.UNDEF) === defined)
      .map(s => {
        assert.equal(s.bind, STB.GLOBAL, 'a missing peer must be an error of the linker');
        return s.name;
      })
      .sort();
  assert.deepEqual(peersOf(0, false), ['kstitch_peer_0', 'kstitch_peer_1']);
  assert.deepEqual(peersOf(1, true), ['kstitch_peer_0', 'kstitch_peer_1']);
  assert.deepEqual(
    linkNames.references().map(r => r.name),
    ['other'],
    'what the kernel has is looked up there',
  );
  // Same place as the symbol of its own name, which stack traces show.
  const symbols = objects[1]?.symbols ?? [];
  const local = symbols.find(s => s.name === 'count_new');
  assert.equal(local?.bind, STB.LOCAL);
  const twin = symbols.find(s => s.name.startsWith('kstitch_peer_') && s.section === local?.section);
  assert.equal(twin?.st_value, local?.st_value);
});

test('a unit that is alone is refused what no unit defines', { skip: missingCompiler }, () => {
  assert.throws(() => diffTogether([caller, { before: helper.before, after: helper.before }]), {
    code: 'symbol-unresolved',
  });
});

test('a new function that no other unit refers to stays out', { skip: missingCompiler }, () => {
  const alone = { before: caller.before, after: caller.before };
  const { differences } = diffTogether([alone, helper]);
  assert.deepEqual(
    differences.flatMap(d => d.selection.atoms),
    [],
  );
});

test("a new function's address taken in another unit speaks against unloading", {
  skip: missingCompiler,
}, () => {
  const taker = {
    before: 'int (*hook)(int);\nvoid set(int x) { hook = 0; }\n',
    after: 'int count_new(int);\nint (*hook)(int);\nvoid set(int x) { hook = count_new; }\n',
  };
  const { differences } = diffTogether([taker, helper]);
  assert.match(differences[0]?.selection.unloadHazards.join() ?? '', /address of the new count_new\(\)/);
});

test('a function that goes from one unit to another is refused', { skip: missingCompiler }, () => {
  const { codes } = diffTogether([
    { before: 'int f(int x) { return x + 1; }\nint a;\n', after: 'int a;\n' },
    { before: 'int b;\n', after: 'int f(int x) { return x + 2; }\nint b;\n' },
  ]);
  assert.deepEqual(codes, ['symbol-moved']);
});

test('a weak default is not lost or overridden unnoticed', { skip: missingCompiler }, () => {
  const weak = '__attribute__((weak)) int f(int x) { return x + 1; }\nint a;\n';
  const strong = 'int f(int x) { return x + 2; }\nint b;\n';
  const codes = (
    sources: readonly (readonly [before: string, after: string])[],
    shipped = '',
    weakElsewhere = '',
  ): readonly string[] =>
    findPeers(
      sources.map(([before, after], i) => readGlobals(`${i}.c`, compile(before, []), compile(after, []))),
      name => name === shipped,
      name => name === weakElsewhere,
    ).diagnostics.map(({ code }) => code);
  assert.deepEqual(
    codes([
      [weak, weak],
      ['int b;\n', strong],
    ]),
    ['symbol-moved'],
  );
  assert.deepEqual(
    codes([
      [weak, weak],
      [strong, 'int b;\n'],
    ]),
    ['symbol-moved'],
  );
  assert.deepEqual(codes([['int b;\n', strong]], 'f'), ['symbol-moved']);
  assert.deepEqual(codes([['int b;\n', strong]]), []);
  assert.deepEqual(codes([[strong, 'int b;\n']], '', 'f'), ['symbol-moved']);
  assert.deepEqual(codes([[strong, 'int b;\n']]), []);
  assert.deepEqual(
    codes([
      [weak, weak],
      [strong, strong],
    ]),
    [],
  );
});

test('a function that loses its static is no new one', { skip: missingCompiler }, () => {
  const { peers } = diffTogether([
    {
      before:
        '__attribute__((noinline)) static int f(int x) { return x + 1; }\nint g(int x) { return f(x); }\n',
      after: '__attribute__((noinline)) int f(int x) { return x + 1; }\nint g(int x) { return f(x); }\n',
    },
    { before: 'int h(int x) { return x; }\n', after: 'int f(int);\nint h(int x) { return f(x); }\n' },
  ]);
  assert.equal(peers.offered.has('f'), false);
});
