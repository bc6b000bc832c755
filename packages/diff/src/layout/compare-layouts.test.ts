import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readElf } from '@kstitch/elf/read';
import { readBtf } from '@kstitch/kernel/btf';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import { compareTypes } from './compare-layouts.ts';
import { readTypeTable } from './type-table.ts';

function typesOf(source: string) {
  const object = compileC(`${source}\nint x;`, ['-gbtf', '-fno-eliminate-unused-debug-types']);
  return readTypeTable(readBtf(readElf(object, 'unit.o')));
}

function changes(before: string, after: string): readonly string[] {
  return compareTypes(typesOf(before), typesOf(after)).flatMap(({ code, text, notes }) => [
    `${code}: ${text}`,
    ...notes.map(note => `  ${note}`),
  ]);
}

const refused: readonly (readonly [what: string, before: string, after: string, ...found: string[]])[] = [
  [
    'a member in front of another',
    'struct s { int a; int b; };',
    'struct s { int a; int new; int b; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': member 'b' from byte 4 to byte 8",
    '  its size from 8 to 12 bytes',
  ],
  [
    'a member at the end',
    'struct s { int a; };',
    'struct s { int a; int b; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': its size from 4 to 8 bytes",
  ],
  [
    'a wider member in the same size',
    'struct s { short a; long b; };',
    'struct s { int a; long b; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': member 'a' from 2 bytes to 4 bytes",
  ],
  [
    'a pointer where a number was',
    'struct s { long a; };',
    'struct s { void *a; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': member 'a' from integer to pointer",
  ],
  [
    'a struct where the number was that it holds',
    'struct count { int n; }; struct s { int a; };',
    'struct count { int n; }; struct s { struct count a; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': member 'a' from integer to struct count",
  ],
  [
    'a struct where half of another was',
    'struct raw { int a, b; }; struct two { struct raw r; int c; }; struct s { struct raw l; int n; };',
    'struct raw { int a, b; }; struct two { struct raw r; int c; }; struct s { struct two l; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': member 'l' from 8 bytes to 12 bytes",
  ],
  [
    'two members that change places',
    'struct s { int a; int b; };',
    'struct s { int b; int a; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': member 'a' from byte 0 to byte 4",
    "  member 'b' from byte 4 to byte 0",
  ],
  [
    'something else under another name in the same place',
    'struct s { long a; };',
    'struct s { void *b; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': member 'b' takes the place of 'a' at byte 0",
  ],
  [
    'a bit field that moves',
    'struct s { unsigned a : 3, b : 5; };',
    'struct s { unsigned a : 3, n : 1, b : 4; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': member 'b' from byte 0 bit 3 to byte 0 bit 4",
  ],
  [
    'a member of an anonymous union',
    'struct s { union { struct { int a; int b; }; long c; }; };',
    'struct s { union { struct { short a; int b; }; long c; }; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': member 'a' from 4 bytes to 2 bytes",
  ],
  [
    'a member of the elements of an array',
    'struct s { int n; struct { int k; short l; } e[2]; };',
    'struct s { int n; struct { int k; short m, l; } e[2]; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': member 'e[].l' from byte 8 to byte 10",
  ],
  [
    'the number of elements',
    'struct s { char name[16]; };',
    'struct s { char name[8]; char more[8]; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': member 'name' from 16 bytes to 8 bytes",
  ],
  [
    'the elements behind the end',
    'struct s { long n; struct { int k; } e[]; };',
    'struct s { long n; struct { int j, k; } e[]; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': member 'e[].k' from byte 8 to byte 12",
  ],
  [
    'a struct within another',
    'struct in { int a; }; struct out { struct in in; int z; };',
    'struct in { int a, b; }; struct out { struct in in; int z; };',
    "struct-layout-changed: the patch changes the layout of 'struct in': its size from 4 to 8 bytes",
    "struct-layout-changed: the patch changes the layout of 'struct out': member 'in' from 4 bytes to 8 bytes",
    "  member 'z' from byte 4 to byte 8",
    '  its size from 8 to 12 bytes',
  ],
  [
    'a struct behind a typedef',
    'typedef struct { int a; } t;',
    'typedef struct { int b, a; } t;',
    "struct-layout-changed: the patch changes the layout of 't': member 'a' from byte 0 to byte 4",
    '  its size from 4 to 8 bytes',
  ],
  [
    'a union that grows',
    'union u { int a; };',
    'union u { int a; long b; };',
    "struct-layout-changed: the patch changes the layout of 'union u': its size from 4 to 8 bytes",
  ],
  [
    'a packed struct',
    'struct s { char a; int b; };',
    'struct __attribute__((packed)) s { char a; int b; };',
    "struct-layout-changed: the patch changes the layout of 'struct s': member 'b' from byte 4 to byte 1",
    '  its size from 8 to 5 bytes',
  ],
  [
    'an enumerator in front of another',
    'enum e { A, B };',
    'enum e { A, N, B };',
    "enum-value-changed: the patch changes the value of 'B' from 1 to 2",
  ],
  [
    'an enumerator of an enum without a name',
    'enum { A, B = -2 };',
    'enum { A, B = -1 };',
    "enum-value-changed: the patch changes the value of 'B' from -2 to -1",
  ],
  [
    'an enum that takes 64 bits',
    'enum e { A };',
    'enum e { A, B = 0x100000000 };',
    "struct-layout-changed: the patch changes the layout of 'enum e': its size from 4 to 8 bytes",
  ],
];

for (const [what, before, after, ...found] of refused) {
  test(`found: ${what}`, { skip: missingCompiler }, () => assert.deepEqual(changes(before, after), found));
}

const fine: readonly (readonly [what: string, before: string, after: string])[] = [
  ['a new struct', 'struct a { int a; };', 'struct a { int a; }; struct b { struct a a; };'],
  ['a struct that goes', 'struct a { int a; }; struct b { int b; };', 'struct a { int a; };'],
  ['a struct that one side only declares', 'struct a;', 'struct a { int a; };'],
  ['a member renamed', 'struct s { int a, b; };', 'struct s { int c, b; };'],
  [
    'what a pointer points to',
    'struct o; struct s { struct o *a; };',
    'struct p; struct s { const struct p *a; };',
  ],
  [
    'a sign, a typedef, a qualifier',
    'struct s { int a; };',
    'typedef unsigned t; struct s { volatile t a; };',
  ],
  [
    'a member put into a union',
    'struct s { long a; };',
    'struct s { union { long a; struct { int b, c; }; }; };',
  ],
  ['a member more in a union', 'union u { long a; };', 'union u { long a; int b; };'],
  [
    'what a struct holds and nothing else, in its place',
    'struct raw { int a, b; }; typedef struct lock { union { struct raw r; }; } lock_t; struct s { lock_t l; long n; };',
    'struct raw { int a, b; }; typedef struct lock { union { struct raw r; }; } lock_t; struct s { struct raw l; long n; };',
  ],
  ['a struct that contains itself by pointer', 'struct s { struct s *n; };', 'struct s { struct s *n; };'],
  ['an enumerator at the end', 'enum e { A, B };', 'enum e { A, B, C };'],
  ['an enumerator renamed', 'enum e { A, B };', 'enum e { A, C };'],
  [
    'namesakes, one of which is new',
    'typedef struct { int a; } t;',
    'typedef struct { int a; } t; int f(void) { typedef struct { long b; } t; t v = { 1 }; return v.b; }',
  ],
];

for (const [what, before, after] of fine) {
  test(`not found: ${what}`, { skip: missingCompiler }, () => assert.deepEqual(changes(before, after), []));
}

test('a new member in a hole is a caution', { skip: missingCompiler }, () => {
  assert.deepEqual(changes('struct s { int a; long b; };', 'struct s { int a; short n, m; long b; };'), [
    "struct-hole-used: the patch puts member 'n' into a hole of 'struct s' at byte 4",
    "  member 'm' at byte 6",
  ]);
});
