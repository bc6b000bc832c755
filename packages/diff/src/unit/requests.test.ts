import assert from 'node:assert/strict';
import { test } from 'node:test';
import { x86_64 } from '@kstitch/arch/x86-64';
import { readElf } from '@kstitch/elf/read';
import { compileC } from '@kstitch/testkit/compile';
import { entrySizes, kernelFlags, sectionFlags } from '@kstitch/testkit/small-kernel';
import type { Requests } from './atom.ts';
import { readUnit } from './read-unit.ts';

function requestsOf(source: string): Requests {
  const bytes = compileC(source, [...kernelFlags, ...sectionFlags]);
  return readUnit(readElf(bytes, 'unit.c'), 'unit.c', x86_64, entrySizes).requests;
}

const callback = (kind: number, pointer: string) =>
  `static const struct { unsigned long kind; void *p; } c${kind} __attribute__((used, section(".kstitch.callbacks"))) = { ${kind}, ${pointer} };`;
const state = (id: string, version: string) =>
  `static const struct { unsigned long id, version; } s${id} __attribute__((used, section(".kstitch.states"))) = { ${id}, ${version} };`;

test('requests are read in the order of the file, functions by name', () => {
  const { callbacks, states } = requestsOf(
    `static void f(void) {} extern void g(void); ${callback(3, 'f')} ${callback(0, 'g')} ${state('9', '1')} ${state('0xffffffff', '0')}`,
  );
  assert.deepEqual(
    callbacks
      .map(({ kind, target }) => `${kind}: ${target.kind === 'atom' ? target.atom.name : target.name}`)
      .toSorted(),
    ['post_unpatch: f', 'pre_patch: g'],
  );
  assert.deepEqual(
    states.toSorted((a, b) => a.id - b.id),
    [
      { id: 9, version: 1 },
      { id: 0xffff_ffff, version: 0 },
    ],
  );
});

test('records are no objects of the unit', () => {
  const bytes = compileC(`static void f(void) {} ${callback(1, 'f')}`, [...kernelFlags, ...sectionFlags]);
  const unit = readUnit(readElf(bytes, 'unit.c'), 'unit.c', x86_64, entrySizes);
  assert.deepEqual(
    unit.atoms.map(atom => atom.name),
    ['f'],
  );
});

for (const [what, source] of [
  ['a kind that livepatch does not have', `static void f(void) {} ${callback(4, 'f')}`],
  ['a callback that is no symbol', callback(0, '0')],
  ['state 0', state('0', '1')],
  ['an id of more than 32 bits', state('0x100000000', '1')],
  ['a version of more than 32 bits', state('1', '0x100000000')],
  ['half a record', 'static const long half __attribute__((used, section(".kstitch.states"))) = 1;'],
] as const) {
  test(`readUnit() refuses ${what}`, () => {
    assert.throws(() => requestsOf(source), {
      code: 'unit-malformed',
      message: /kstitch\.h made no record at \.kstitch\.(callbacks|states)\+0x0/,
    });
  });
}
