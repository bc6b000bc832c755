import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { x86_64 } from '@kstitch/arch/x86-64';
import { readElf } from '@kstitch/elf/read';
import { silentContext } from '@kstitch/report/context';
import { readSources, sides } from '@kstitch/review/source-text';
import { StructAccesses } from '@kstitch/review/struct-access';
import { readUnitChanges } from '@kstitch/review/unit-changes';
import { explainWhy, type Why } from '@kstitch/review/why';
import { compileC, missingOf } from '@kstitch/testkit/compile';
import { entrySizes, kernelFlags, sectionFlags } from '@kstitch/testkit/small-kernel';
import type { UnitCommand } from './compile/unit-command.ts';
import { DebugObject } from './lines/debug-object.ts';
import { findChangeBlocks, splitLines } from './patch/change-blocks.ts';
import { holdLines } from './patch/hold-lines.ts';
import { chainsOf } from './review-lines.ts';
import { thisMachine } from './root/workshop.ts';

const root = mkdtempSync(join(tmpdir(), 'kstitch-review-test-'));
after(() => rmSync(root, { recursive: true, force: true }));
const skip = missingOf('gcc-12', 'addr2line');
let folders = 0;

const unit: UnitCommand = {
  source: 'unit.c',
  spelling: 'unit.c',
  object: 'unit.o',
  compiler: 'gcc-12',
  args: ['-O2', '-fno-pic', '-fno-pie', ...kernelFlags],
  kind: 'c',
  owner: 'vmlinux',
};

/** Every changed or new function of a unit, with why, as the review goes about it. */
async function explained(before: string, after: string, flagsAfter: readonly string[] = []) {
  const cwd = join(root, `${folders++}`);
  mkdirSync(cwd);
  const held = holdLines(before, after).text;
  const { functions } = readUnitChanges(
    'unit.c',
    readElf(compileC(before, [...kernelFlags, ...sectionFlags]), 'before.o'),
    readElf(compileC(held, [...kernelFlags, ...sectionFlags, ...flagsAfter]), 'after.o'),
    x86_64,
    entrySizes,
  );
  const blocks = findChangeBlocks(splitLines(before), splitLines(after));
  const sources = readSources([{ path: 'unit.c', before, after, blocks }]);
  const structs = new StructAccesses(sources);
  const debug = new Map<string, DebugObject>();
  for (const side of sides) {
    const folder = join(cwd, side);
    mkdirSync(folder);
    writeFileSync(join(folder, 'unit.c'), side === 'before' ? before : after);
    const dump = join(folder, 'dump');
    const extraFlags = [
      ...sectionFlags,
      ...(side === 'before' ? [] : flagsAfter),
      `-fdump-tree-gimple-lineno=${dump}`,
    ];
    const options = {
      workshop: thisMachine,
      cwd: folder,
      output: join(folder, 'unit.o'),
      extraFlags,
      patched: true,
    };
    debug.set(side, await DebugObject.compile(silentContext(), unit, options));
    structs.add({ side, text: readFileSync(dump, 'latin1') });
  }
  const found = new Map<string, readonly string[]>();
  for (const change of functions) {
    const chains = async (side: (typeof sides)[number]) => {
      const parts = side === 'before' ? [change.before, change.coldBefore] : [change.after, change.coldAfter];
      const object = debug.get(side);
      const names = parts.flatMap(atom => atom?.name ?? []);
      return object === undefined
        ? []
        : (await Promise.all(names.map(name => chainsOf(object, name)))).flat();
    };
    const why = explainWhy(
      {
        sourceName: change.sourceName,
        chains: { before: await chains('before'), after: await chains('after') },
        tables: change.tables,
        callees: change.callees,
      },
      sources,
    );
    const marks = `${change.clone === undefined ? '' : ` ${change.clone}`}${change.coldOnly ? ' cold only' : ''}`;
    found.set(`${change.kind} ${change.name}${marks}`, why.map(summary));
  }
  return { found: Object.fromEntries(found), structs: structs.list(), functions };
}

function summary(why: Why): string {
  switch (why.kind) {
    case 'source':
      return `source ${why.lines.map(({ side, line }) => `${side} ${line}`).join(', ')}`;
    case 'inlined':
      return `${why.chain.join(' into ')} ${why.lines.map(({ side, line }) => `${side} ${line}`).join(', ')}`;
    case 'macro':
      return `macro ${why.name} used ${why.used.map(({ side, line }) => `${side} ${line}`).join(', ')}`;
    case 'data':
      return `data ${why.name}`;
    case 'callee':
      return `${why.before} became ${why.after}`;
    case 'carries':
      return 'carries';
  }
}

const head = 'int g(int); void h(void *);\n';

test('a changed line explains the function that it is in, whether or not it became code there', {
  skip,
}, async () => {
  const code = `${head}int f(int a)\n{\n\treturn g(a + 1);\n}\n`;
  assert.deepEqual((await explained(code, code.replace('a + 1', 'a + 2'))).found, {
    'changed f': ['source before 4, after 4'],
  });
  const declared = `${head}int f(int a)\n{\n\tint n;\n\n\tn = g(a);\n\treturn n < 3;\n}\n`;
  assert.deepEqual((await explained(declared, declared.replace('\tint n;', '\tunsigned int n;'))).found, {
    'changed f': ['source before 4, after 4'],
  });
  const twoCalls = `${head}int f(int a)\n{\n\tg(a);\n\tg(2);\n\treturn 0;\n}\n`;
  assert.deepEqual((await explained(twoCalls, twoCalls.replace('\tg(2);\n', ''))).found, {
    'changed f': ['source before 5'],
  });
});

test('lines below an insertion keep their meaning: only what was inserted counts', { skip }, async () => {
  const code = `${head}int f(int a)\n{\n\treturn g(a);\n}\n\nint f2(int a)\n{\n\treturn g(a + 9);\n}\n`;
  assert.deepEqual(
    (await explained(code, code.replace('\treturn g(a);\n', '\tg(1);\n\tg(2);\n\tg(3);\n\treturn g(a);\n')))
      .found,
    {
      'changed f': ['source after 4, after 5, after 6'],
    },
  );
});

test('an inlined callee is named with the way it came, and a function that only calls it is not in the set', {
  skip,
}, async () => {
  const code = `${head}static inline int low(int a)\n{\n\treturn g(a) + 1;\n}\nstatic inline int middle(int a)\n{\n\treturn low(a) * 3;\n}\nint f(int a)\n{\n\treturn middle(a);\n}\nint other(int a)\n{\n\treturn f(a) - 1;\n}\n`;
  const flags = code.replace('int f(int a)', '__attribute__((noinline)) int f(int a)');
  assert.deepEqual((await explained(flags, flags.replace('+ 1', '+ 2'))).found, {
    'changed f': ['low into middle into f before 4, after 4'],
  });
});

test('a clone is told by its name, and its lines are those of the function it was made of', {
  skip,
}, async () => {
  const code = `${head}static __attribute__((noinline)) int helper(int a, int b)\n{\n\tif (a > 3)\n\t\tg(a);\n\treturn g(b) + a;\n}\nint f(int a)\n{\n\treturn helper(a, 7);\n}\nint f2(int a)\n{\n\treturn helper(a + 1, 7);\n}\n`;
  assert.deepEqual((await explained(code, code.replace('g(b) + a', 'g(b) - a'))).found, {
    'changed helper.constprop.0 constprop': ['source before 6, after 6'],
  });
});

test('a function that the compiler calls by another name explains its callers', { skip }, async () => {
  const code = `${head}static __attribute__((noinline)) int helper(int a, int b)\n{\n\tif (a > 3)\n\t\tg(a);\n\treturn g(b) + a;\n}\nint f(int a)\n{\n\treturn helper(a, 7);\n}\nint f2(int a)\n{\n\treturn helper(a + 1, 7);\n}\n`;
  const { found } = await explained(code, code.replace('helper(a + 1, 7)', 'helper(a + 1, a)'));
  assert.deepEqual(found['changed f'], ['helper.constprop.0 became helper']);
  assert.deepEqual(found['changed f2']?.[0], 'source before 14, after 14');
});

test('a change in the unlikely part alone is said to be one', { skip }, async () => {
  const code = `${head}__attribute__((cold)) void bad(int);\nint f(int a)\n{\n\tif (a == 12345)\n\t\tbad(1);\n\treturn g(a);\n}\n`;
  assert.deepEqual((await explained(code, code.replace('bad(1)', 'bad(2)'))).found, {
    'changed f cold only': ['source before 6, after 6'],
  });
});

test('a macro and a private table explain the functions that use them', { skip }, async () => {
  const macro = `${head}#define STEP 3\n#define TWICE (2 * STEP)\nint f(int a)\n{\n\treturn g(a + TWICE);\n}\n`;
  assert.deepEqual((await explained(macro, macro.replace('STEP 3', 'STEP 5'))).found, {
    'changed f': ['macro TWICE used before 6, after 6'],
  });
  const table = `${head}static const int table[4] = {\n\t1, 2, 3, 4,\n};\nint f(int a)\n{\n\treturn g(table[a & 3]);\n}\n`;
  assert.deepEqual((await explained(table, table.replace('3, 4', '3, 5'))).found, {
    'changed f': ['data table'],
  });
});

test('what no changed line explains stays unexplained', { skip }, async () => {
  const code = `${head}#ifndef STEP\n#define STEP 3\n#endif\nint f(int a)\n{\n\treturn g(a + STEP);\n}\n`;
  assert.deepEqual((await explained(code, code, ['-DSTEP=5'])).found, { 'changed f': [] });
});

test('members in changed lines, with the type that the compiler knows them by', { skip }, async () => {
  const code = `${head}struct inner { int deep; };\nstruct box { int a; int b; struct { int c; }; struct inner in; struct box *next; };\nstruct box *here;\nstatic struct box *find(int a)\n{\n\treturn here + a;\n}\nint f(struct box *p)\n{\n\tp->a = 1;\n\treturn p->next->b;\n}\n`;
  const after = code.replace(
    '\treturn p->next->b;\n',
    '\tfind(3)->c = p->in.deep;\n\treturn p->next->b + p->b;\n',
  );
  const { structs } = await explained(code, after);
  assert.deepEqual(
    structs.map(({ type, members }) => [
      type,
      members.map(({ name, write, sides: on }) => `${name}${write ? ' written' : ''} ${on.join('+')}`),
    ]),
    [['struct box', ['b after', 'c written after', 'in.deep after', 'next before+after']]],
  );
});

test('names that a function reaches now, and those that it reaches no more', { skip }, async () => {
  const code = `${head}extern int counter; static int mine; static __attribute__((noinline)) int own(int a)\n{\n\tmine += a;\n\treturn g(a);\n}\nint f(int a)\n{\n\th(&counter);\n\treturn own(a);\n}\n`;
  const after = code
    .replace('\th(&counter);\n\treturn own(a);\n', '\tgone(a);\n\treturn fresh(a) + own(a);\n')
    .replace(
      'int f(int a)',
      'void gone(int);\n__attribute__((noinline)) static int fresh(int a)\n{\n\treturn g(a) * 2;\n}\nint f(int a)',
    );
  const { functions } = await explained(code, after);
  const f = functions.find(({ name }) => name === 'f');
  assert.deepEqual(f?.reached, {
    gained: [
      { name: 'gone', where: 'outside' },
      { name: 'fresh', where: 'new' },
    ],
    lost: [
      { name: 'counter', where: 'outside' },
      { name: 'h', where: 'outside' },
    ],
  });
  assert.deepEqual(functions.map(({ kind, name }) => `${kind} ${name}`).toSorted(), [
    'changed f',
    'new fresh',
  ]);
});
