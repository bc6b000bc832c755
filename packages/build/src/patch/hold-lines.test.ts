import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { compileC, compiler, missingCompiler, readelfText } from '@kstitch/testkit/compile';
import fc from 'fast-check';
import { findChangeBlocks, splitLines } from './change-blocks.ts';
import { holdLines } from './hold-lines.ts';

const skip = missingCompiler;

function preprocess(source: string): string {
  const run = spawnSync(compiler, ['-E', '-P', '-x', 'c', '-'], { input: source, encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  return run.stdout;
}

/** What __LINE__ is at each mark(N, __LINE__) that is compiled. */
function marks(source: string): Map<string, string> {
  return new Map(
    [...preprocess(source).matchAll(/mark\s*\(\s*(\d+)\s*,\s*(\d+)/g)].map(([, id, line]) => [id!, line!]),
  );
}

test('holdLines() leaves a text alone whose changes keep the number of lines', () => {
  const after = 'int a;\nint c;\nint d;\n';
  assert.deepEqual(holdLines('int a;\nint b;\nint d;\n', after), { text: after, directives: 0, moved: [] });
});

test('holdLines() puts the old number above the first line after an insertion', () => {
  const held = holdLines('a;\nb;\nc;\n', 'a;\nnew;\nnew;\nb;\nc;\n');
  assert.equal(held.text, 'a;\nnew;\nnew;\n#line 2\nb;\nc;\n');
});

test('holdLines() puts the old number above the first line after a removal', () => {
  assert.equal(holdLines('a;\nb;\nc;\nd;\n', 'a;\nd;\n').text, 'a;\n#line 4\nd;\n');
});

test('holdLines() adds nothing when the change is at the end', () => {
  assert.equal(holdLines('a;\nb;\n', 'a;\nb;\nc;\n').text, 'a;\nb;\nc;\n');
});

for (const [what, middle] of [
  ['a comment', ['/* one', 'two', 'three */']],
  ['a macro', ['#define M(x) \\', '\tf(x); \\', '\tg(x)']],
  ["a call's arguments", ['f(1,', '  2,', '  3);']],
  ["a macro's arguments on the next line", ['M', '(1,', ' 2);']],
  ['a string continued by a backslash', ['char *s = "one \\', 'two \\', 'three";']],
  ['a statement expression in arguments', ['f(({ int x = 1;', 'x; }),', '2);']],
] as const) {
  test(`holdLines() puts no directive into ${what}`, () => {
    const before = `top;\n${middle.join('\n')}\nbottom;\n`;
    const after = `top;\n${[middle[0], '', ...middle.slice(1)].join('\n').replace('\\\n\n', '\\\n\\\n')}\nbottom;\n`;
    const held = holdLines(before, after);
    assert.equal(held.directives, 1);
    assert.match(held.text, /#line 5\nbottom;\n$/);
    assert.deepEqual(held.moved, [{ from: 4, to: 5 }]);
  });
}

test('holdLines() says the number again below a branch that may not be taken', { skip }, () => {
  const before = [
    '#ifdef NO',
    'x;',
    'y;',
    '#else',
    'mark(1, __LINE__);',
    '#endif',
    'mark(2, __LINE__);',
    '',
  ].join('\n');
  const after = [
    '#ifdef NO',
    'x;',
    'new;',
    'y;',
    '#else',
    'mark(1, __LINE__);',
    '#endif',
    'mark(2, __LINE__);',
    '',
  ].join('\n');
  assert.deepEqual(marks(holdLines(before, after).text), marks(before));
  assert.notDeepEqual(marks(after), marks(before));
});

/** Statements with one mark each, in the shapes that a directive must not come between. */
const shapes: readonly ((id: number) => readonly string[])[] = [
  id => [`mark(${id}, __LINE__);`],
  id => ['', `mark(${id}, __LINE__);`],
  id => ['/* a comment with "quotes,', " * don't and (brackets", ' */', `mark(${id}, __LINE__);`],
  id => [`call(mark(${id}, __LINE__),`, '     "a ( string",', "     '(');"],
  id => ['TWICE(one,', `      mark(${id}, __LINE__),`, '      { two; });'],
  id => [`#define M${id}(x) \\`, '\tf(x) + \\', '\tg(x)', `mark(${id}, __LINE__);`],
  id => ['#ifdef UNDEFINED', 'f(1', '#else', 'f(2', '#endif', ');', `mark(${id}, __LINE__);`],
  id => ['#if 0', "don't", '#else', `mark(${id}, __LINE__);`, '#endif'],
  id => ['#if 1', `mark(${id}, __LINE__);`, '#if 0', 'x;', '#else', 'y;', '#endif', 'z;', '#endif'],
  id => [`static int s${id}[] = {`, '\t1,', '\t2, // two (', '};', `mark(${id}, __LINE__);`],
];
const statement = fc.record({ id: fc.nat(99_999), shape: fc.nat(shapes.length - 1) });
type Statement = typeof statement extends fc.Arbitrary<infer T> ? T : never;
const linesOf = ({ id, shape }: Statement) => shapes[shape]!(id);
const head = ['#define TWICE(a, b, c) a b c b'];

const edit = fc.oneof(
  fc.record({ kind: fc.constant('insert' as const), at: fc.nat(30), statement }),
  fc.record({ kind: fc.constant('blank' as const), at: fc.nat(30), count: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('remove' as const), at: fc.nat(30) }),
  fc.record({ kind: fc.constant('within' as const), at: fc.nat(30), line: fc.nat(8) }),
);

test('holdLines() gives every untouched statement its old __LINE__, for random edits', {
  skip,
  timeout: 120_000,
}, () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(statement, { minLength: 4, maxLength: 14, selector: s => s.id }),
      fc.array(edit, { minLength: 1, maxLength: 5 }),
      (statements, edits) => {
        const before = [...head, ...statements.flatMap(linesOf)];
        let items: { readonly id: number | undefined; readonly lines: readonly string[] }[] = statements.map(
          s => ({
            id: s.id,
            lines: linesOf(s),
          }),
        );
        for (const e of edits) {
          const at = e.at % (items.length + 1);
          if (e.kind === 'insert')
            items.splice(at, 0, {
              id: undefined,
              lines: linesOf({ ...e.statement, id: e.statement.id + 100_000 }),
            });
          else if (e.kind === 'blank')
            items.splice(at, 0, { id: undefined, lines: Array.from({ length: e.count }, () => '') });
          else if (e.kind === 'remove') items.splice(at, 1);
          else {
            items = items.map((item, index) => {
              if (index !== at || item.id === undefined) return item;
              const line = e.line % item.lines.length;
              const continued = item.lines[line - 1]?.endsWith('\\') === true;
              return {
                id: undefined,
                lines: [...item.lines.slice(0, line), continued ? ' \\' : '', ...item.lines.slice(line)],
              };
            });
          }
        }
        const after = [...head, ...items.flatMap(item => item.lines)];
        const held = holdLines(`${before.join('\n')}\n`, `${after.join('\n')}\n`);

        const wanted = marks(`${before.join('\n')}\n`);
        const got = marks(held.text);
        // What counts as untouched is the difference of the texts: an inserted statement may look like an old one.
        const blocks = findChangeBlocks(
          splitLines(`${before.join('\n')}\n`),
          splitLines(`${after.join('\n')}\n`),
        );
        const isNew = (line: number) =>
          blocks.some(b => line >= b.afterStart && line < b.afterStart + b.afterCount);
        const isMoved = (line: number) => held.moved.some(({ from, to }) => line >= from && line <= to);
        let line = head.length + 1;
        for (const { id, lines } of items) {
          const own = lines.map((_, index) => line + index);
          line += lines.length;
          if (id === undefined || own.some(l => isMoved(l) || isNew(l))) continue;
          assert.equal(got.get(String(id)), wanted.get(String(id)), held.text);
        }
        // After each change only the rest of the statement may move.
        const longest = Math.max(...shapes.map(shape => shape(0).length));
        const moved = held.moved.reduce((sum, { from, to }) => sum + to - from + 1, 0);
        assert.ok(moved <= longest * blocks.length, held.text);
      },
    ),
    { numRuns: 60, endOnFailure: true },
  );
});

test('functions below a change compile to the same bytes when lines are held', { skip }, () => {
  const tail = [
    '#define HERE(x) warn(__LINE__, x)',
    ...Array.from({ length: 4 }, (_, index) => [
      `int f${index}(int a)`,
      '{',
      '\treturn HERE(a +',
      `\t\t${index});`,
      '}',
      '',
    ]).flat(),
  ];
  const declaration = 'int warn(int line, int x);';
  const before = [
    declaration,
    'int changed(void)',
    '{',
    '\treturn warn(__LINE__, 0);',
    '}',
    '',
    ...tail,
  ].join('\n');
  const after = [
    declaration,
    '',
    '/* new */',
    'int changed(void)',
    '{',
    '\tif (warn(1, 2))',
    '\t\treturn 1;',
    '\treturn warn(__LINE__, 0);',
    '}',
    '',
    ...tail,
  ].join('\n');
  const dump = (source: string) => {
    const object = compileC(source, ['-ffunction-sections', '-Wno-implicit-function-declaration']);
    return [0, 1, 2, 3].map(index => readelfText(object, ['-x', `.text.f${index}`]));
  };
  assert.deepEqual(dump(holdLines(before, after).text), dump(before));
  assert.notDeepEqual(dump(after), dump(before));
});
