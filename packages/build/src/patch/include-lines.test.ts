import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readIncludes } from './include-lines.ts';

const spellings = (text: string) =>
  readIncludes(text).map(({ name, quoted }) => (quoted ? `"${name}"` : `<${name}>`));

test('readIncludes() finds includes however they are written, taken or not', () => {
  const text = [
    '#include <linux/fs.h>',
    '  #  include "a b.h" /* why */',
    '\t#include\t<x.h>',
    '#ifdef NEVER',
    '#include_next <y.h>',
    '#endif',
    '#include "a b.h"',
    'int x; #include <no.h>',
    '/* #include */ char *s = "<no.h>";',
    '#include MACRO',
  ].join('\n');
  assert.deepEqual(spellings(text), ['<linux/fs.h>', '"a b.h"', '<x.h>', '<y.h>']);
});

test('readIncludes() follows macros that hold the name of a file', () => {
  assert.deepEqual(spellings('#define GENL_MAGIC_INCLUDE_FILE <linux/drbd_genl.h>\n#define N 1\n'), [
    '<linux/drbd_genl.h>',
  ]);
  assert.deepEqual(spellings('#undef TRACE_INCLUDE_FILE\n#define TRACE_INCLUDE_FILE mmflags\n'), [
    '"mmflags.h"',
  ]);
});
