import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findImports, judge, judgeManifest } from './check-imports.ts';
import type { Manifest } from './repository.ts';

const manifest: Manifest = {
  name: '@kstitch/diff',
  version: '0.1.0',
  dependencies: { '@kstitch/elf': '0.1.0', '@kstitch/build': '0.1.0', valibot: '^1.0.0' },
};

function problem(file: string, specifier: string): string | undefined {
  return judge({ file, line: 1, specifier }, manifest);
}

test('findImports() finds static and dynamic imports and re-exports, with their lines', () => {
  const source = `import { a } from './a.ts';
import type {
  B,
} from '@kstitch/elf/b';
export { c } from 'c';
import 'd';
const e = await import('e');
const text = "import { f } from 'f'";
`;
  assert.deepEqual(
    findImports('x.ts', source).map(({ specifier, line }) => [specifier, line]),
    [
      ['./a.ts', 1],
      ['@kstitch/elf/b', 4],
      ['c', 5],
      ['d', 6],
      ['e', 7],
    ],
  );
});

test('a pure package does no I/O, its tests may', () => {
  assert.match(problem('packages/diff/src/select.ts', 'node:fs') ?? '', /does no I\/O/);
  assert.match(problem('packages/diff/src/select.ts', 'node:child_process') ?? '', /does no I\/O/);
  assert.equal(problem('packages/diff/src/select.test.ts', 'node:fs'), undefined);
  assert.equal(problem('packages/diff/src/select.ts', 'node:crypto'), undefined);
  assert.equal(problem('packages/build/src/gcc.ts', 'node:fs'), undefined);
  assert.match(problem('packages/build/src/gcc.ts', 'fs') ?? '', /without 'node:'/);
});

test('only declared packages are imported, and testkit only by tests', () => {
  assert.equal(problem('packages/diff/src/select.ts', '@kstitch/elf/read'), undefined);
  assert.match(
    problem('packages/diff/src/select.ts', '@kstitch/kernel/btf') ?? '',
    /not among the dependencies/,
  );
  assert.match(problem('packages/diff/src/select.ts', 'fast-check') ?? '', /not among the dependencies/);
  assert.equal(problem('packages/diff/src/select.test.ts', 'fast-check'), undefined);
  assert.match(problem('packages/diff/src/select.ts', '@kstitch/testkit/compile') ?? '', /not among/);
  assert.equal(problem('packages/diff/src/select.test.ts', '@kstitch/testkit/compile'), undefined);
  assert.equal(problem('packages/diff/src/fixture-kernel.ts', '@kstitch/testkit/compile'), undefined);
  assert.match(problem('packages/diff/src/select.ts', '@kstitch/diff/compare') ?? '', /imports itself/);
});

test('a relative import stays in the package', () => {
  assert.equal(problem('packages/diff/src/unit/read.ts', '../select.ts'), undefined);
  assert.match(problem('packages/diff/src/select.ts', '../../elf/src/read.ts') ?? '', /leaves the package/);
});

test('dependencies go downwards, have exact versions and are used', () => {
  const problems = judgeManifest('diff', manifest, new Set(['@kstitch/elf', 'valibot', '@kstitch/build']));
  assert.deepEqual(problems, [
    "'diff' does not stand above 'build'",
    "'valibot' has no exact version: '^1.0.0'",
  ]);
  assert.deepEqual(judgeManifest('diff', { ...manifest, dependencies: { valibot: '1.5.0' } }, new Set()), [
    "'valibot' is declared and never imported",
  ]);
  assert.match(
    judgeManifest('unheard-of', { ...manifest, dependencies: {} }, new Set())[0] ?? '',
    /has no layer/,
  );
});

test('packages on one layer do not know each other', () => {
  const vm = { ...manifest, name: '@kstitch/vm', dependencies: { '@kstitch/build': '0.1.0' } };
  assert.deepEqual(judgeManifest('vm', vm, new Set(['@kstitch/build'])), [
    "'vm' does not stand above 'build'",
  ]);
});

test('the oracle shares no code with what it judges', () => {
  const oracle = { ...manifest, name: '@kstitch/oracle', dependencies: { '@kstitch/elf': '0.1.0' } };
  assert.deepEqual(judgeManifest('oracle', oracle, new Set(['@kstitch/elf'])), [
    "'oracle' must share no code with 'elf'",
  ]);
});
