import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readElf } from '@kstitch/elf/read';
import { KstitchError } from '@kstitch/report/error';
import { compileC, missingCompiler } from '@kstitch/testkit/compile';
import * as fc from 'fast-check';
import { Btf, readBtf } from './btf.ts';
import { readKernelLayout } from './kernel-layout.ts';

/** Compiled with BTF, and with what the compiler itself says in `expected`. */
function compiled(source: string, expressions: readonly string[] = []): { btf: Btf; expected: bigint[] } {
  const elf = readElf(
    compileC(
      `${source}\nconst unsigned long long expected[] __attribute__((section("facts"))) = { ${expressions.join(',')} };`,
      ['-gbtf'],
    ),
    'unit.o',
  );
  const bytes = elf.sections.find(({ name }) => name === 'facts')?.bytes ?? new Uint8Array(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const expected = Array.from({ length: bytes.length / 8 }, (_, index) => view.getBigUint64(index * 8, true));
  return { btf: readBtf(elf), expected };
}

const mixed = `
  typedef struct { short s; union { int deep; char c[12]; }; } inner_t;
  enum color { RED, GREEN = 7 };
  struct opaque;
  struct mixed {
    char first;
    const volatile struct { long in_anonymous; union { int in_union; short also; }; };
    struct opaque *pointer;
    inner_t named;
    enum color color;
    unsigned bit : 3, next : 5, far : 9;
    int (*function)(int, struct mixed *);
    float real;
    char last[];
  };
  struct mixed one; struct other { int x; } two;
  int call(int argument) { return argument; }
`;

test('sizes and offsets are what the compiler says', { skip: missingCompiler }, () => {
  const members = [
    'first',
    'in_anonymous',
    'in_union',
    'also',
    'pointer',
    'named',
    'color',
    'function',
    'real',
    'last',
  ];
  const { btf, expected } = compiled(mixed, [
    'sizeof(struct mixed)',
    ...members.map(member => `__builtin_offsetof(struct mixed, ${member})`),
  ]);
  const struct = btf.struct('mixed');
  assert.ok(struct);
  const found = [struct.size, ...members.map(member => struct.member(member)?.offset)];
  assert.deepEqual(found, expected.map(Number));
  assert.equal(btf.struct('other')?.size, 4);
});

test('bit fields have a byte and a bit', { skip: missingCompiler }, () => {
  const struct = compiled(mixed).btf.struct('mixed');
  const color = struct?.member('color')?.offset ?? 0;
  assert.deepEqual(struct?.member('bit'), { offset: color + 4, bitOffset: 0 });
  assert.deepEqual(struct?.member('next'), { offset: color + 4, bitOffset: 3 });
  assert.deepEqual(struct?.member('far'), { offset: color + 5, bitOffset: 0 });
});

test('what is not there is undefined', { skip: missingCompiler }, () => {
  const { btf } = compiled(mixed);
  assert.equal(btf.struct('mixe'), undefined);
  assert.equal(btf.struct('color'), undefined, 'an enum is no struct');
  assert.equal(btf.struct('opaque'), undefined, 'only declared');
  assert.equal(btf.struct('mixed')?.member('deep'), undefined, 'a member of a named member');
  assert.equal(btf.struct('mixed')?.member('in_'), undefined);
});

test('an object without BTF is refused', { skip: missingCompiler }, () => {
  assert.throws(() => readBtf(readElf(compileC('int x;'), 'x.o')), {
    code: 'kernel-btf',
    message: "cannot read the BTF of 'x.o': it has no section '.BTF'",
  });
});

/** Header, records and strings; each record is its words. */
function btfOf(records: readonly (readonly number[])[], strings: string): Btf {
  const types = records.flat();
  const text = Buffer.from(strings, 'latin1');
  const bytes = Buffer.alloc(24 + types.length * 4 + text.length);
  bytes.writeUInt16LE(0xeb9f, 0);
  bytes.writeUInt8(1, 2);
  for (const [index, value] of [24, 0, types.length * 4, types.length * 4, text.length, ...types].entries()) {
    bytes.writeUInt32LE(value, 4 + index * 4);
  }
  bytes.set(text, 24 + types.length * 4);
  return new Btf(bytes, 'little', 'made');
}

const struct = (vlen: number) => (4 << 24) | vlen;

test('two structs of one name must have one size', () => {
  const strings = '\0twin\0';
  assert.equal(
    btfOf(
      [
        [1, struct(0), 8],
        [1, struct(0), 8],
      ],
      strings,
    ).struct('twin')?.size,
    8,
  );
  assert.throws(
    () =>
      btfOf(
        [
          [1, struct(0), 8],
          [1, struct(0), 16],
        ],
        strings,
      ).struct('twin'),
    {
      code: 'kernel-btf',
      message: "cannot read the BTF of 'made': it has two structs 'twin', of 8 and of 16 bytes",
    },
  );
});

test('types that refer in a circle, to nothing, or are of unknown kind are refused', () => {
  const code = { code: 'kernel-btf' };
  const strings = '\0a\0';
  const inItself = btfOf([[1, struct(1), 8, 0, 1, 0]], strings).struct('a');
  assert.throws(() => inItself?.member('b'), code);
  const typedefs = btfOf(
    [
      [1, struct(1), 8, 0, 2, 0],
      [0, 8 << 24, 3],
      [0, 8 << 24, 2],
    ],
    strings,
  ).struct('a');
  assert.throws(() => typedefs?.member('b'), code);
  const nothing = btfOf([[1, struct(1), 8, 0, 9, 0]], strings).struct('a');
  assert.throws(() => nothing?.member('b'), code);
  assert.throws(() => btfOf([[1, 31 << 24, 8]], strings), code);
  assert.throws(() => btfOf([[1, struct(2), 8, 0, 1, 0]], strings), code);
});

test('random damage gives our error or an answer', { skip: missingCompiler }, () => {
  const elf = readElf(compileC(mixed, ['-gbtf']), 'unit.o');
  const good = elf.sections.find(({ name }) => name === '.BTF')?.bytes ?? new Uint8Array(0);
  assert.ok(good.length > 100);
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length * 3), (at, value, length) => {
      const damaged = good.slice(0, length);
      damaged[at] = value;
      try {
        const btf = new Btf(damaged, 'little', 'damaged');
        btf.struct('mixed')?.member('in_union');
        for (let number = 1; number <= btf.typeCount; number++) btf.type(number);
      } catch (error) {
        assert.ok(error instanceof KstitchError && error.code === 'kernel-btf', String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

const kernelStructs = `
  struct module { int state; struct { void *next, *prev; } list; char name[56]; int (*init)(void); char pad[100]; void (*exit)(void); } m;
  struct alt_instr { int instr_offset, repl_offset; union { struct { unsigned cpuid : 16, flags : 16; }; unsigned ft_flags; };
    unsigned char instrlen, replacementlen; } __attribute__((packed)) a;
  struct bug_entry { int bug_addr_disp, file_disp; unsigned short line, flags; } b;
  struct jump_entry { int code, target; long key; } j;
  struct exception_table_entry { int insn, fixup, data; } e;
  struct static_call_site { int addr, key; } s;
  struct orc_entry { short sp_offset, bp_offset; unsigned short bits; } o;
`;

test('the layout of a kernel as of 6.12', { skip: missingCompiler }, () => {
  const { btf, expected } = compiled(kernelStructs, [
    'sizeof(struct module)',
    '__builtin_offsetof(struct module, exit)',
  ]);
  assert.deepEqual(readKernelLayout(btf), {
    module: { size: Number(expected[0]), name: 24, init: 80, exit: Number(expected[1]) },
    altInstr: { size: 14, instrOffset: 0, replOffset: 4, instrlen: 12, replacementlen: 13 },
    bugEntry: { size: 12, bugAddr: 0, file: 4, line: 8, flags: 10 },
    jumpEntry: { size: 16, code: 0, target: 4, key: 8 },
    exceptionTableEntrySize: 12,
    staticCallSiteSize: 8,
    orcEntrySize: 6,
    paravirtPatchSiteSize: undefined,
  });
});

test('parainstructions and plain bug pointers are seen where a kernel has them', {
  skip: missingCompiler,
}, () => {
  const older = kernelStructs
    .replace('int bug_addr_disp, file_disp;', 'unsigned long bug_addr; const char *file;')
    .concat('struct paravirt_patch_site { unsigned char *instr, type, len; } p;');
  const layout = readKernelLayout(compiled(older).btf);
  assert.deepEqual(layout.bugEntry, { size: 24, bugAddr: 0, file: 8, line: 16, flags: 18 });
  assert.equal(layout.paravirtPatchSiteSize, 16);
});

test('a kernel that lacks a struct or member is refused by name', { skip: missingCompiler }, () => {
  for (const [from, to, missing] of [
    ['struct module ', 'struct other ', "struct 'module'"],
    ['(*exit)', '(*leave)', "member 'exit' in struct 'module'"],
  ] as const) {
    assert.throws(() => readKernelLayout(compiled(kernelStructs.replace(from, to)).btf), {
      code: 'kernel-btf',
      message: `cannot lay out a module for 'unit.o': its BTF has no ${missing}`,
    });
  }
});
