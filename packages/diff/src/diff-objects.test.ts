import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { x86_64 } from '@kstitch/arch/x86-64';
import { readElf } from '@kstitch/elf/read';
import { compileC, missingOf } from '@kstitch/testkit/compile';
import { kernelFlags, sectionFlags } from '@kstitch/testkit/small-kernel';
import { diffObjects } from './diff-objects.ts';

interface Result {
  readonly changed: readonly string[];
  readonly added: readonly string[];
  readonly codes: readonly string[];
}

const compile = (source: string, flags: readonly string[] = [], compiler?: string): Uint8Array =>
  compileC(
    source,
    [...(compiler === undefined ? kernelFlags : clangFlags), ...sectionFlags, ...flags],
    compiler === undefined ? {} : { compiler },
  );

const clangFlags = ['-std=gnu11', '-ffreestanding', '-mcmodel=kernel', '-mno-sse', '-pg', '-mfentry'];

function compare(before: Uint8Array, after: Uint8Array): Result {
  const { difference } = diffObjects(readElf(before, 'before.o'), readElf(after, 'after.o'), x86_64);
  return {
    changed: difference.changed.map(
      ({ name, reason, mayBeLineNumber }) =>
        `${name}${reason === 'changed' ? '' : ` ${reason}`}${mayBeLineNumber ? ' line' : ''}`,
    ),
    added: difference.added.map(({ name }) => name),
    codes: difference.diagnostics.map(({ code }) => code),
  };
}

/** Compiles `source` as it is, and with the first of each pair replaced by the second. */
function edited(
  source: string,
  edits: Readonly<Record<string, string>>,
  flags: readonly string[] = [],
  compiler?: string,
): Result {
  let after = source;
  for (const [from, to] of Object.entries(edits)) {
    assert.ok(after.includes(from), `'${from}' is not in the source`);
    after = after.replaceAll(from, to);
  }
  return compare(compile(source, flags, compiler), compile(after, flags, compiler));
}

const same: Result = { changed: [], added: [], codes: [] };
const onlyF: Result = { changed: ['f'], added: [], codes: [] };

const printk = 'int printk(const char *, ...); int g(int); void h(void *);\n';

test('a changed body, a new function, a changed message', () => {
  const source = `${printk} int f(int x) { return g(x + 1); } int k(void) { return printk("k %d", 1); } int l(void) { return 1; }`;
  assert.deepEqual(edited(source, { 'x + 1': 'x + 2' }), onlyF);
  assert.deepEqual(edited(source, { 'k %d': 'K %d' }).changed, ['k']);
  const added = edited(source, {
    'int f(int x) { return g(':
      '__attribute__((noinline)) static int n(int x) { return g(x) * 3; } int f(int x) { return n(',
  });
  assert.deepEqual(added, { changed: ['f'], added: ['n'], codes: [] });
  assert.deepEqual(edited(source, { 'int f(int x)': '\n\n/* a comment */ int f(int x)' }), same);
});

test('a function that says one thing twice where it said two', () => {
  const source = `${printk} void f(void) { printk("one"); printk("two"); }`;
  assert.deepEqual(edited(source, { '"two"': '"one"' }), onlyF);
});

test('data that changes is refused, a table that only functions read is not', () => {
  const source = `${printk}
    int limit = 5; int f(void) { return limit; }
    static const int table[] = { 1, 2, 3, 4, 5, 6, 7, 8 }; int k(int i) { return table[i & 7]; }`;
  const data = edited(source, { 'limit = 5': 'limit = 6' });
  assert.deepEqual(data, { ...same, codes: ['data-changed'] });
  assert.deepEqual(edited(source, { '7, 8': '7, 9' }), { ...same, changed: ['k'] });
});

test('init code that changes is refused', () => {
  const source = `${printk} __attribute__((section(".init.text"))) int setup(void) { return g(4); } int f(void) { return 2; }`;
  assert.deepEqual(edited(source, { 'g(4)': 'g(5)' }), { ...same, codes: ['init-changed'] });
  assert.deepEqual(edited(source, { 'return 2': 'return 3' }), onlyF);
});

test('a function without an ftrace site is refused', () => {
  const source = `${printk} __attribute__((no_instrument_function)) int f(int x) { return g(x) + 1; } int k(int x) { return x; }`;
  assert.deepEqual(edited(source, { '+ 1': '+ 2' }), { ...onlyF, codes: ['no-ftrace-site'] });
});

test('ftrace sites are found without __mcount_loc, behind endbr64, and by patchable entries', () => {
  const source = `${printk} int f(int x) { return g(x) + 1; } int k(int x) { return g(x) - 1; }`;
  const edit = { '+ 1': '+ 2' };
  assert.deepEqual(edited(source, edit, ['-mno-record-mcount']), onlyF);
  assert.deepEqual(
    edited(source, edit, ['-mno-record-mcount', '-fcf-protection=branch', '-mno-fentry']),
    onlyF,
  );
  assert.deepEqual(edited(source, edit, ['-fpatchable-function-entry=16,16']), onlyF);
});

test('a cold part that comes, goes or changes is its function', () => {
  const source = `${printk} __attribute__((cold)) void bad(const char *, int);
    int f(int x) { if (x > 100) bad("cold %d", x); return g(x) + 1; }`;
  assert.deepEqual(edited(source, { 'cold %d': 'icy %d' }).changed, ['f cold part changed']);
  const none = { 'if (x > 100) bad("cold %d", x);': '' };
  assert.deepEqual(edited(source, none), onlyF);
  const without = `${printk} __attribute__((cold)) void bad(const char *, int); int f(int x) { return g(x) + 1; }`;
  assert.deepEqual(edited(without, { 'return g(x)': 'if (x > 100) bad("cold", x); return g(x)' }), onlyF);
});

test('a function that moves between .text, .text.unlikely and .text.hot has not changed', () => {
  const source = `${printk} int f(int x) { return g(x) + 1; } int k(int x) { return 3; }`;
  for (const section of ['.text.unlikely.f', '.text.hot.f', '.text.startup.f'])
    assert.deepEqual(edited(source, { 'int f(': `__attribute__((section("${section}"))) int f(` }), same);
});

test('functions of one section that lie elsewhere have not changed, other callees have', () => {
  const sched = '__attribute__((section(".sched.text"), noinline))';
  const source = `${printk}
    ${sched} static int a(int x) { return g(x) + 11; }
    ${sched} static int b(int x) { return g(x) + 22; }
    ${sched} int f(int x) { return a(x) * 2; }
    int k(int x) { return b(x) + a(x); }`;
  const longer = edited(source, { '+ 22': '+ g(22) + 4' });
  assert.deepEqual(longer, { ...same, changed: ['b'] });
  // The same distance from f to a as to b before.
  const swapped = `${printk}
    ${sched} static int b(int x) { return g(x) + 22; }
    ${sched} static int a(int x) { return g(x) + 11; }
    ${sched} int f(int x) { return b(x) * 2; }
    int k(int x) { return b(x) + a(x); }`;
  assert.deepEqual(
    compare(compile(source, ['-fno-toplevel-reorder']), compile(swapped, ['-fno-toplevel-reorder'])),
    onlyF,
  );
});

test('clones and static locals numbered anew are what they were', () => {
  const source = `${printk}
    __attribute__((noinline)) static int use(int *p) { static int count; return count += *p; }
    int a(int x) { static int count = 3; return count += x; }
    int f(int x) { static int count = 4; count += g(x); return use(&count) + count; }`;
  const edit = { 'int a(int x)': 'int z(int x) { static int count = 9; return count += x; } int a(int x)' };
  assert.deepEqual(edited(source, edit), { ...same, added: ['z'] });
  assert.deepEqual(edited(source, { 'g(x)': 'g(x + 1)' }), onlyF);
});

test('a static local that moves with its code into a part of the function is the same one', () => {
  const local = 'static int count = 3; count += x; h(&count); return g(count);';
  const source = `${printk} int k(int x) { static int count = 4; return count += x; } int f(int x) { ${local} }`;
  const after = `${printk} int k(int x) { static int count = 4; return count += x; }
    __attribute__((noinline)) static int part(int x) __asm__("f.part.0");
    static int part(int x) { ${local} } int f(int x) { return part(x) + 1; }`;
  assert.deepEqual(compare(compile(source), compile(after)), { ...onlyF, added: ['f.part.0'] });
});

test('the other alias names the function after the patch', () => {
  const source = `${printk} int sys_f(int x) { return g(x) + 1; } int SyS_f(int x) __attribute__((alias("sys_f")));`;
  assert.deepEqual(edited(source, { '+ 1': '+ 2' }).changed.length, 1);
  for (const name of ['sys_f', 'SyS_f']) {
    const alone = `${printk} int ${name}(int x) { return g(x) + 1; }`;
    assert.deepEqual(compare(compile(source), compile(alone)), same);
    assert.deepEqual(compare(compile(alone), compile(source)), same);
  }
});

test('a part without an ftrace site is patched through its function', () => {
  const source = `${printk} __attribute__((noinline, no_instrument_function)) static int part(int x) __asm__("f.part.0");
    static int part(int x) { return g(x) + 1; } int f(int x) { return x > 5 ? part(x) + 2 : 0; }`;
  assert.deepEqual(edited(source, { '+ 1': '+ 3' }), { ...same, changed: ['f part changed'] });
});

test('clones that nothing tells apart are refused', () => {
  const clone = (n: number, constant: number) =>
    `__attribute__((used)) static int c${n}(int) __asm__("f.constprop.${n}"); static int c${n}(int x) { return g(x) + ${constant}; }`;
  const source = `${printk} ${clone(0, 11)} ${clone(1, 22)}`;
  assert.deepEqual(edited(source, { '11': '12' }).codes, ['correlation-ambiguous']);
  assert.deepEqual(edited(source, { '11': '12', '22': '23' }).codes, [
    'correlation-ambiguous',
    'correlation-ambiguous',
  ]);
});

test('padding that objtool names belongs to its function', () => {
  const padded = (name: string, n: number) =>
    `__asm__(".section .text.${name},\\"ax\\"\\n.type __pfx_${name},@function\\n__pfx_${name}: .skip 16, 0x90\\n.size __pfx_${name}, 16\\n.globl ${name}\\n.type ${name},@function\\n${name}: call __fentry__\\nmov $${n}, %eax\\nret\\n.size ${name}, . - ${name}\\n.text");`;
  const result = compare(compile(padded('f', 1)), compile(padded('f', 2) + padded('n', 3)));
  assert.deepEqual(result, { ...onlyF, added: ['n'] });
});

test('local to global and back is no difference', () => {
  const source = `${printk} __attribute__((noinline)) int a(int x) { return g(x) + 1; } int f(int x) { return a(x) * 2; }`;
  assert.deepEqual(edited(source, { 'noinline)) int a': 'noinline)) static int a' }), same);
});

const section = (name: string, body: string) => `.pushsection ${name}\\n${body}\\n.popsection`;

/** A warning as 4.x has it: the line is in the bug table. */
const warn = (line: number) =>
  `__asm__ volatile("1: ud2\\n${section('__bug_table,\\"aw\\"', `2: .long 1b - 2b, 0f - 2b\\n.word ${line}, 0\\n.org 2b + 12`)}\\n${section('.rodata.str1.1,\\"aMS\\",@progbits,1', '0: .asciz \\"f.c\\"')}");`;

test('a function that differs by a line number says so', () => {
  const immediate = `${printk} void warn_slowpath_null(const char *, int); int f(int x) { if (x) warn_slowpath_null("f.c", 123); return 2; }`;
  const line: Result = { changed: ['f line'], added: [], codes: ['may-be-line-number'] };
  assert.deepEqual(edited(immediate, { '123': '125' }), line);
  assert.deepEqual(edited(immediate, { '123': '125', 'return 2': 'return 3' }), onlyF);
  const entry = `${printk} int f(int x) { if (x) { ${warn(123)} } return 2; }`;
  assert.deepEqual(edited(entry, { 'word 123': 'word 125' }), line);
  assert.deepEqual(edited(entry, { '123, 0': '123, 1' }), onlyF);
  const place = `${printk} int f(int x) { return printk("at f.c:123"); }`;
  assert.deepEqual(edited(place, { '123': '125' }), line);
  assert.deepEqual(edited(place, { 'f.c:123': 'g.c:125' }), onlyF);
  // The return value is no argument.
  assert.deepEqual(edited(`${printk} int f(void) { return 123; }`, { '123': '125' }), onlyF);
});

test('a line number in init code, or where nothing can be patched, refuses nothing', () => {
  const source = `${printk} void warn_slowpath_null(const char *, int);
    __attribute__((section(".init.text"))) int setup(int x) { if (x) warn_slowpath_null("f.c", 123); return 2; }
    int k(int x) { return g(x) + 1; }`;
  assert.deepEqual(edited(source, { '123': '125' }), { ...same, codes: ['may-be-line-number'] });
});

/** Tables as kernels before 4.6 have them. */
const old = {
  fixup: `__asm__ volatile("1: mov (%1), %0\\n2:\\n${section('.fixup,\\"ax\\"', '3: mov $-14, %0\\njmp 2b')}\\n${section('__ex_table,\\"a\\"', '.balign 4\\n.long 1b - ., 3b - .')}" : "=r"(v) : "r"(p));`,
  jump: `__asm__ goto("1: .byte 0x0f, 0x1f, 0x44, 0, 0\\n${section('__jump_table,\\"aw\\"', '.balign 8\\n.quad 1b, %l[yes], key')}" : : : : yes);`,
  alternative: `__asm__ volatile("661: nop\\n662:\\n${section('.altinstructions,\\"a\\"', '.long 661b - ., 663f - .\\n.word 17\\n.byte 662b - 661b, 664f - 663f, 0')}\\n${section('.altinstr_replacement,\\"ax\\"', '663: lfence\\n664:')}");`,
  paravirt: `__asm__ volatile("771: call *pv_ops\\n772:\\n${section('.parainstructions,\\"a\\"', '.balign 8\\n.quad 771b\\n.byte 3\\n.byte 772b - 771b\\n.short 1')}");`,
  refcount: `__asm__ volatile("lock incl (%0)\\njs 111f\\n${section('.text..refcount', '111: lea (%0), %%rcx\\n112: .byte 0x0f, 0xff')}\\n113:\\n${section('__ex_table,\\"a\\"', '.balign 4\\n.long 112b - ., 113b - .')}" : : "r"(p) : "rcx");`,
};

test('tables of older kernels: entry sizes are told from the object, entries belong to their functions', () => {
  const source = `${printk} extern int key;
    int f(int *p) { int v; ${old.fixup} ${old.alternative} return v; }
    int k(int *p) { int v; ${old.fixup} ${old.alternative} return v + 1; }
    int j(int x) { ${old.jump} return 1; yes: return g(x); }
    void q(void) { ${old.paravirt} } void r(void) { ${old.paravirt} }
    void s(int *p) { ${old.refcount} } void t(int *p) { ${old.refcount} }`;
  const compiled = compile(source);
  assert.deepEqual(compare(compiled, compiled), same);
  // Another function gets entries before those of f.
  const more = edited(source, {
    'int f(int *p)': `int a(int *p) { int v; ${old.fixup} ${old.alternative} return v + 7; } int f(int *p)`,
  });
  assert.deepEqual(more, { ...same, added: ['a'] });
  const inFixup = source.replace('mov $-14', 'mov $-22');
  assert.deepEqual(compare(compiled, compile(inFixup)), onlyF);
  assert.deepEqual(compare(compiled, compile(source.replace('lfence', 'mfence'))), onlyF);
  assert.deepEqual(compare(compiled, compile(source.replace('.short 1', '.short 2'))), {
    ...same,
    changed: ['q'],
  });
  assert.deepEqual(compare(compiled, compile(source.replace('lea (%0)', 'lea 4(%0)'))), {
    ...same,
    changed: ['s'],
  });
});

/** What objtool does to an object: `--hacks=jump_label` and `--mnop`. */
function asObjtool(bytes: Uint8Array, functionSection: string): Uint8Array {
  const result = bytes.slice();
  const file = readElf(bytes, 'unit.o');
  const text = file.sections.find(({ name }) => name === functionSection)!;
  const code = bytes.subarray(text.sh_offset, text.sh_offset + text.sh_size);
  // The call of __fentry__ is the first instruction.
  assert.equal(code[0], 0xe8);
  const nop = [0x0f, 0x1f, 0x44, 0x00, 0x00];
  result.set(nop, text.sh_offset);
  result.set(nop, text.sh_offset + code.indexOf(0xe9));
  const relocations = file.sections.find(({ name }) => name === `.rela${functionSection}`)!;
  assert.equal(result[relocations.sh_offset], 1, 'the first relocation is that of the call');
  new DataView(result.buffer).setUint32(relocations.sh_offset + 8, 0, true); // R_X86_64_NONE
  return result;
}

test('before and after objtool are one', () => {
  const jump = `__asm__ goto("1: .byte 0xe9\\n.long %l[yes] - 2f\\n2:\\n${section('__jump_table,\\"aw\\"', '.balign 8\\n.long 1b - ., %l[yes] - .\\n.quad key - .')}" : : : : yes);`;
  const source = `${printk} extern int key; int f(int x) { ${jump} return g(x); yes: return g(x + 1); }`;
  const compiled = compile(source);
  const done = asObjtool(compiled, '.text.f');
  assert.deepEqual(compare(compiled, done), same);
  assert.deepEqual(compare(done, done), same);
  assert.deepEqual(compare(done, compile(source.replace('x + 1', 'x + 2'))), onlyF);
  // A jump that leads elsewhere than its entry says is no jump label.
  const astray = done.slice();
  const text = readElf(done, 'unit.o').sections.find(({ name }) => name === '.text.f')!;
  astray.set([0xe9, 1, 0, 0, 0], text.sh_offset + compiled.subarray(text.sh_offset).indexOf(0xe9));
  assert.deepEqual(compare(done, astray), onlyF);
});

test('a table of unknown entries is refused when it changes, and only then', () => {
  const odd = (n: number) =>
    `__asm__ volatile("1: nop\\n${section('__jump_table,\\"aw\\"', `.long 1b - ., ${n}`)}");`;
  const source = `${printk} void f(void) { ${odd(1)} } int k(void) { return 1; }`;
  assert.deepEqual(edited(source, { 'return 1': 'return 2' }), { ...same, changed: ['k'] });
  assert.deepEqual(edited(source, { '., 1': '., 2' }).codes, ['table-changed', 'table-changed']);
});

test('a section without a rule that names a changed function is refused', () => {
  const source = `${printk} int f(int x) { return g(x) + 1; } int k(void) { return 1; }
    static void *entry __attribute__((used, section("__some_table"))) = f;`;
  assert.deepEqual(edited(source, { '+ 1': '+ 2' }), { ...onlyF, codes: ['section-unsupported'] });
  assert.deepEqual(edited(source, { 'return 1': 'return 2' }), { ...same, changed: ['k'] });
});

test('a function of a section group is refused', () => {
  const f = (n: number) =>
    `${printk} __asm__(".section .text.f,\\"axG\\",@progbits,f,comdat\\n.weak f\\n.type f,@function\\nf: call __fentry__\\nmov $${n}, %eax\\nret\\n.size f, . - f\\n.text");`;
  assert.deepEqual(compare(compile(f(1)), compile(f(2))), { ...onlyF, codes: ['section-unsupported'] });
});

test('switch tables are compared by the code that they lead to', () => {
  const source = `${printk} int f(int x) { switch (x) { case 0: return g(7); case 1: return g(1) + 1; case 2: return g(9) + 2; case 3: return g(5) - 1; case 4: return g(4) * 3; } return 0; }
    int k(int x) { return g(x) + 1; }`;
  const flags = ['-fjump-tables', '-mindirect-branch=keep', '-fcf-protection=none'];
  assert.deepEqual(edited(source, { 'g(x) + 1': 'g(x) + 2' }, flags), { ...same, changed: ['k'] });
  assert.deepEqual(edited(source, { 'case 3:': 'case 5:', 'case 4:': 'case 3:' }, flags), onlyF);
});

test('what the sanitizer notes about a place is no difference', () => {
  const source = `${printk} int f(int *p, int i) { return p[i] << i; }`;
  assert.deepEqual(
    edited(source, { 'int f(': '\n\n\nint f(' }, ['-fsanitize=shift', '-fsanitize=bounds']),
    same,
  );
  // A call that is shared with another place does not follow.
  const note = section('.data..Lubsan_data3,\\"aw\\"', '0: .quad 7');
  const shared = `${printk} int f(int x) { __asm__ volatile("mov $0f, %%rdi\\n${note}" : : : "rdi"); return g(x); }`;
  assert.deepEqual(edited(shared, { 'quad 7': 'quad 9' }), same);
});

test('wide strings are compared to their end, indexed ones from their start', () => {
  const wide = `${printk} void w(const unsigned short *); void f(void) { w(u"ab"); } int k(int x) { return g(x); }`;
  assert.deepEqual(edited(wide, { 'u"ab"': 'u"ac"' }, ['-fshort-wchar']), onlyF);
  const text = section('.rodata.str1.1,\\"aMS\\",@progbits,1', '.asciz \\"one\\"\\n.Ltext: .asciz \\"zyx\\"');
  const indexed = `${printk} int f(long i) { __asm__ volatile("movzbl .Ltext-1(%0), %%eax\\n${text}" : : "r"(i) : "eax"); return 0; }`;
  assert.deepEqual(edited(indexed, { zyx: 'zyw' }), onlyF);
});

test('a text that is read from behind its start, or to behind its end, is compared as a whole', () => {
  // gcc writes `movsbl .LC1+1(%rdi), %eax`.
  const indexed = `${printk} int k(void) { return printk("xyz"); } int f(long i) { return "abcdefgh"[i + 1]; }`;
  assert.deepEqual(edited(indexed, { abcdefgh: 'zbcdefgh' }), onlyF);
  assert.deepEqual(edited(indexed, { abcdefgh: 'abcdefgz' }), onlyF);
  assert.deepEqual(edited(indexed, { xyz: 'XYZ' }), { ...same, changed: ['k'] });
  const walked = `${printk} int f(void) { int r = 0; const char *t = "abcdefgh", *p; for (p = t; p < t + 9; p++) r += g(*p); return r; }`;
  assert.deepEqual(edited(walked, { abcdefgh: 'abcdefgz' }), onlyF);
});

test('what follows the field of a relocation that modules cannot have is compared', () => {
  const source = `${printk} int f(void) { int r; __asm__ volatile("pushw $ext; mov $1, %%al; add $2, %%rsp" : "=a"(r)); return r; }`;
  assert.deepEqual(edited(source, { 'mov $1': 'mov $3' }), onlyF);
});

test('__UNIQUE_ID and printk index entries are no difference, module information a caution', () => {
  const info = (n: number, text: string) =>
    `static const char __UNIQUE_ID_x${n}[] __attribute__((used, section(".modinfo"))) = "${text}";`;
  const source = `${printk} ${info(12, 'license=GPL')} int f(int x) { return g(x) + 1; }
    static const char *entry __attribute__((used, section(".printk_index"))) = "m";`;
  assert.deepEqual(edited(source, { x12: 'x345' }), same);
  assert.deepEqual(edited(source, { '"m"': '"n"' }), same);
  assert.deepEqual(edited(source, { 'license=GPL': 'license=GPL v2' }).codes, ['table-left', 'table-left']);
});

test('same-named statics of an object that was linked from several are told by their files', () => {
  const one = `${printk} static __attribute__((noinline)) int f(int x) { return g(x) + 1; } int a(int x) { return f(x) * 2; }`;
  const two = `${printk} static __attribute__((noinline)) int f(int x) { return g(x) + 5; } int b(int x) { return f(x) * 2; }`;
  const unreferenced = [one, two].map(text => text.replace('noinline', 'used').replace('f(x) * 2', 'x'));
  const both = unreferenced.map(text => text.replace('g(x) +', 'g(x) -'));
  assert.deepEqual(compare(link(unreferenced), link(both)).changed, ['f', 'f']);
  const before = link([one, two]);
  assert.deepEqual(compare(before, before), same);
  const after = link([one, two.replace('+ 5', '+ 6')]);
  assert.deepEqual(compare(before, after), onlyF);
  assert.deepEqual(compare(before, link([one.replace('+ 1', '+ 3'), two.replace('+ 5', '+ 6')])).changed, [
    'f',
    'f',
  ]);
});

function link(sources: readonly string[]): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
  try {
    const names = sources.map((source, i) => {
      const bytes = compileC(source, [...kernelFlags, ...sectionFlags], { name: `file${i}` });
      writeFileSync(join(directory, `${i}.o`), bytes);
      return `${i}.o`;
    });
    execFileSync('ld', ['-r', '--unique', '-o', 'all.o', ...names], { cwd: directory });
    return new Uint8Array(readFileSync(join(directory, 'all.o')));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test('what is not a relocatable object for this processor is an error', () => {
  const object = compile('int f(void) { return 1; }');
  const foreign = object.slice();
  foreign[18] = 183; // EM_AARCH64
  assert.throws(() => compare(object, foreign), { code: 'elf-unsupported' });
  const executable = object.slice();
  executable[16] = 2; // ET_EXEC
  assert.throws(() => compare(executable, object), { code: 'elf-unsupported' });
  // Their code is yet to be made.
  for (const flags of [['-flto'], ['-flto', '-ffat-lto-objects']]) {
    const [before, after] = [1, 2].map(i => compile(`int f(void) { return ${i}; }`, flags));
    assert.ok(before !== undefined && after !== undefined);
    assert.throws(() => compare(before, after), { code: 'elf-unsupported', message: /-fno-lto/ });
  }
});

test('an object without symbols is an error, and not one without a difference', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
  try {
    const stripped = ['return 1', 'return 2'].map(body => {
      const path = join(directory, 'f.o');
      writeFileSync(path, compileC(`int f(void) { ${body}; }`, ['-O2', '-fno-pie']));
      execFileSync('strip', ['-s', path]);
      return new Uint8Array(readFileSync(path));
    });
    const [before, after] = stripped as [Uint8Array, Uint8Array];
    assert.throws(() => compare(before, after), { code: 'elf-unsupported' });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

const clang = ['clang-14', 'clang-16', 'clang-19', 'clang'].find(name => missingOf(name) === false);

test('clang: special statics, unnamed data, switch tables', {
  skip: clang === undefined && 'no clang is installed',
}, () => {
  const source = `${printk}
    int a(int x) { static int count = 3; return count += x; }
    int f(int x) { static char __warned; static int count; if (!__warned) { __warned = 1; printk("f %d", x); } return count += x; }
    int k(int x) { switch (x) { case 0: return g(7); case 1: return g(1) + 1; case 2: return g(9) + 2; case 3: return g(5) - 1; case 4: return g(4) * 3; } return 0; }
    int m(int x) { switch (x) { case 0: return 17; case 1: return 4; case 2: return 99; case 3: return 5; case 4: return 1; } return 0; }`;
  const run = (edits: Readonly<Record<string, string>>) => edited(source, edits, [], clang);
  assert.deepEqual(run({ 'int f(': '\nint f(' }), same);
  assert.deepEqual(run({ 'f %d': 'F %d' }), onlyF);
  assert.deepEqual(run({ 'return 99': 'return 98' }), { ...same, changed: ['m'] });
  assert.deepEqual(run({ 'case 3: return g(5)': 'case 5: return g(5)' }).changed, ['k']);
  assert.deepEqual(run({ 'count = 3': 'count = 4' }).codes, ['data-changed']);
  const noted = 'int g(int); int f(int *p, int i) { return g(1 << i); }';
  assert.deepEqual(edited(noted, { 'int f(': '\n\nint f(' }, ['-fsanitize=shift'], clang), same);
  const table = 'int f(unsigned i) { const int t[9] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 }; return t[i]; }';
  assert.deepEqual(edited(table, { '8, 9': '8, 7' }, ['-fsanitize=array-bounds'], clang), onlyF);
  // Behind its end: `mov t+16(,%rdi,4), %eax`, and the table lies among the constants of 16 bytes.
  const behind = `int k(long i) { const int t[4] = { 9, 8, 7, 6 }; return t[i]; } int f(long i) { const int t[4] = { 1, 2, 3, 4 }; return t[i + 4]; }`;
  assert.deepEqual(edited(behind, { '3, 4': '3, 5' }, [], clang), onlyF);
  // The table becomes part of the code, and is left behind under a label that nothing refers to.
  const values = Array.from({ length: 40 }, (_, i) => ((i * 37) % 251) + 1).join(', ');
  const left = `int g(unsigned char *); int f(void) { unsigned char t[40] = { ${values} }; return g(t); }`;
  assert.deepEqual(edited(left, { '{ 1, 38': '{ 2, 38' }, [], clang), onlyF);
});
