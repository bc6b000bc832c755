import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readUnconditionalIncludes } from './unconditional-includes.ts';

const names = (text: string) => readUnconditionalIncludes(text).map(({ name }) => name);

test('what a guard holds is taken, what another condition holds is not', () => {
  const text = [
    '/* #include <comment.h>',
    '#include <in-comment.h> */',
    '#ifndef _A_H',
    '#define _A_H',
    '#include <a.h>',
    '#ifdef CONFIG_X',
    '#include <x.h>',
    '#else',
    '#include <y.h>',
    '#endif',
    '#ifndef __ASSEMBLY__',
    '# include "b.h" // why',
    '#else',
    '#include <asm-only.h>',
    '#endif',
    '// #include <line.h>',
    '#endif',
    '#include <c.h>',
  ].join('\n');
  assert.deepEqual(names(text), ['a.h', 'b.h', 'c.h']);
});

test('a condition that only looks like a guard is none', () => {
  assert.deepEqual(names('#ifndef A\n#include <a.h>\n#endif\n'), []);
  assert.deepEqual(names('#include <z.h>\n#ifndef A\n#define A\n#include <a.h>\n#endif\n'), ['z.h']);
  assert.deepEqual(names('#ifndef A\n#define A\n#else\n#include <a.h>\n#endif\n'), []);
});

test('a quote in a text opens no comment', () => {
  assert.deepEqual(names('char *s = "/*";\n#include <a.h>\nchar *t = "*/";\n'), ['a.h']);
});
