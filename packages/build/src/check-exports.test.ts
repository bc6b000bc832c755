import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExportChange } from '@kstitch/diff/layout/compare-exports';
import { checkExports } from './check-exports.ts';

const judge = (cause: ExportChange['cause'], shipped: number | undefined) =>
  checkExports(
    [{ command: { source: 'fs/a.c' } as never, exportChanges: [{ symbol: 'f', crc: 1, cause }] }],
    new Map(shipped === undefined ? [] : [['f', { crc: shipped }]]),
  ).map(({ code, notes }) => [code, ...notes]);

test('checkExports() compares nothing where the unpatched source has another CRC than the shipped kernel', () => {
  const declaration = { kind: 'declaration', before: 'int f ( )', after: 'long f ( )' } as const;
  assert.deepEqual(judge(declaration, 2), [
    ['export-not-compared', 'computed 0x00000001, shipped 0x00000002'],
  ]);
  assert.deepEqual(judge(declaration, undefined), [
    ['export-not-compared', 'computed 0x00000001, shipped none'],
  ]);
  assert.deepEqual(judge(declaration, 1), [
    ['export-type-changed', 'before: int f ( )', 'after: long f ( )'],
  ]);
});

test('checkExports() says what another CRC comes from, as a caution', () => {
  assert.deepEqual(judge({ kind: 'type', type: 'struct foo' }, 1), [
    ['export-crc-changed', "'struct foo' changes"],
  ]);
  assert.deepEqual(judge({ kind: 'visible', type: 'struct foo', header: 'include/linux/foo.h' }, 1), [
    [
      'export-crc-changed',
      "'struct foo' is known in one of the two only, by an include of 'include/linux/foo.h'",
    ],
  ]);
  assert.deepEqual(judge({ kind: 'visible', type: 'struct foo' }, 1), [
    ['export-crc-changed', "'struct foo' is known in one of the two only, by what is included"],
  ]);
  assert.deepEqual(judge({ kind: 'untold' }, 1), [
    ['export-crc-changed', 'the dumps of genksyms do not tell why'],
  ]);
});
