import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareExports, parseExportTypes } from './compare-exports.ts';

/** As genksyms of Linux 6.1 wrote it. */
const dump = `s#bar struct bar { UNKNOWN } 
s#foo struct foo { int a ; s#bar * b ; } 
f int f ( s#foo * ) 
`;
const before = parseExportTypes('#SYMVER f 0x4623c2b2\n', dump);
const cause = (after: string, crc = '0x11111111') =>
  compareExports(before, parseExportTypes(`#SYMVER f ${crc}\n`, after)).map(change => change.cause);

test('parseExportTypes() reads both ways of writing a CRC', () => {
  assert.equal(before.crcs.get('f'), 0x4623c2b2);
  assert.equal(parseExportTypes('__crc_f = 0x4623c2b2 ;\n', dump).crcs.get('f'), 0x4623c2b2);
  assert.equal(before.lines.get('s#foo'), 'struct foo { int a ; s#bar * b ; }');
});

test('compareExports() tells a declaration from a type that changes and one that becomes known', () => {
  assert.deepEqual(cause(dump, '0x4623c2b2'), []);
  assert.deepEqual(cause(dump.replace('f int f ( s#foo * )', 'f long f ( s#foo * )')), [
    { kind: 'declaration', before: 'int f ( s#foo * )', after: 'long f ( s#foo * )' },
  ]);
  assert.deepEqual(cause(dump.replace('UNKNOWN', 'int x ;')), [{ kind: 'visible', type: 'struct bar' }]);
  assert.deepEqual(cause(dump.replace('int a', 'long a')), [{ kind: 'type', type: 'struct foo' }]);
  assert.deepEqual(cause(dump), [{ kind: 'untold' }]);
});

test('compareExports() names the file that a type became known by', () => {
  const text = [
    '# 1 "fs/a.c"',
    'struct foo { int a; struct bar *b; };',
    '# 12 "include/linux/bar.h" 1',
    'struct bar *other;',
    'struct bar',
    '{ int x; };',
    '# 3 "fs/a.c" 2',
  ].join('\n');
  const after = parseExportTypes('#SYMVER f 0x1\n', dump.replace('UNKNOWN', 'int x ;'), text);
  assert.deepEqual(
    compareExports(before, after).map(change => change.cause),
    [{ kind: 'visible', type: 'struct bar', header: 'include/linux/bar.h' }],
  );
  assert.equal(after.definedIn.get('s#foo'), 'fs/a.c');
});

test('compareExports() says nothing of a symbol that only one side exports', () => {
  assert.deepEqual(compareExports(before, parseExportTypes('', dump)), []);
});
