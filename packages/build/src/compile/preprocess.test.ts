import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { compiler, missingCompiler } from '@kstitch/testkit/compile';
import { thisMachine } from '../root/workshop.ts';
import { listDependencies, readDependencies, runRecorded, translate } from './preprocess.ts';
import type { UnitCommand } from './unit-command.ts';

const skip = missingCompiler;
const root = await mkdtemp(join(tmpdir(), 'kstitch-preprocess-'));
after(() => rm(root, { recursive: true }));

const unit = (spelling: string): UnitCommand => ({
  source: spelling,
  spelling,
  object: spelling.replace(/\.\w$/, '.o'),
  compiler,
  args: ['-I.', '-O2', '-g', ...(spelling.endsWith('.S') ? ['-D__ASSEMBLY__'] : [])],
  kind: spelling.endsWith('.S') ? 'asm' : 'c',
  owner: 'vmlinux',
});

async function tree(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(root, 'tree-'));
  for (const [path, text] of Object.entries(files)) await writeFile(join(folder, path), text);
  return folder;
}

test('listDependencies() tells what was read, and takes files that are made later for there', {
  skip,
}, async () => {
  const cwd = await tree({
    'a.c': '#include "./a.h"\n#include "later.h"\n#ifdef NO\n#include "never.h"\n#endif\nint x;\n',
    'a.h': 'int y;\n',
    'never.h': '',
  });
  const files = await listDependencies(silentContext(), thisMachine, unit('a.c'), cwd);
  assert.deepEqual(files?.toSorted(), ['a.c', 'a.h', 'later.h']);
});

test('listDependencies() says when the compiler cannot tell', { skip }, async () => {
  const cwd = await tree({ 'a.c': '#error no\n' });
  assert.equal(await listDependencies(silentContext(), thisMachine, unit('missing.c'), cwd), undefined);
});

test('translate() sees through comments, line numbers and what a unit does not use', { skip }, async () => {
  const source = '#include "a.h"\nint f(void) { asm("nop"); return N; }\n';
  const a = await tree({ 'a.c': source, 'a.h': '#define N 1\n' });
  const b = await tree({ 'a.c': source, 'a.h': '/* one\n */\nextern int unused;\n#define N 1\n' });
  const c = await tree({ 'a.c': source, 'a.h': '#define N 2\n' });
  const [first, same, other] = await Promise.all(
    [a, b, c].map(cwd => translate(silentContext(), thisMachine, unit('a.c'), cwd)),
  );
  assert.ok(first?.includes('nop'));
  assert.equal(same, first);
  assert.notEqual(other, first);
});

test('translate() gives assembly as the assembler gets it', { skip }, async () => {
  const source = '#include "a.h"\nmov $N, %eax\n';
  const a = await tree({ 'a.S': source, 'a.h': '#ifndef __ASSEMBLY__\nint f(void);\n#endif\n#define N 1\n' });
  const b = await tree({
    'a.S': source,
    'a.h': '\n#ifndef __ASSEMBLY__\nint f(int);\n#endif\n#define N 1\n',
  });
  const c = await tree({ 'a.S': source, 'a.h': '#define N 2\n' });
  const [first, same, other] = await Promise.all(
    [a, b, c].map(cwd => translate(silentContext(), thisMachine, unit('a.S'), cwd)),
  );
  assert.match(first ?? '', /mov \$1, %eax/);
  assert.equal(same, first);
  assert.notEqual(other, first);
});

test('runRecorded() takes the constants of a .s and the text of a linker script', { skip }, async () => {
  const offsets = (type: string) =>
    `struct s { ${type} a; int b; };\nvoid f(void) { asm volatile("\\n.ascii \\"->B %0\\"" : : "i" (__builtin_offsetof(struct s, b))); }\n`;
  const command = [compiler, '-Wp,-MMD,x.d', '-fverbose-asm', '-S', '-o', 'a.s', 'a.c'];
  const of = async (text: string) =>
    await runRecorded(silentContext(), thisMachine, command, await tree({ 'a.c': text }));
  const first = await of(offsets('int'));
  assert.equal(first, `.ascii "->B $4"`);
  assert.equal(await of(`/* more\n */\n${offsets('unsigned')}`), first);
  assert.notEqual(await of(offsets('long')), first);

  const script = [compiler, '-E', '-P', '-C', '-x', 'c', '-o', 'a.lds', 'a.lds.S'];
  const lds = async (text: string) =>
    await runRecorded(silentContext(), thisMachine, script, await tree({ 'a.lds.S': text }));
  assert.equal(await lds('/* one */\n. = 1;\n'), await lds('. = 1;\n'));
  assert.notEqual(await lds('. = 2;\n'), await lds('. = 1;\n'));
  assert.equal(await runRecorded(silentContext(), thisMachine, ['true'], root), undefined);
});

test('readDependencies() reads what make reads', () => {
  assert.deepEqual(readDependencies('a.o: a.c b\\ c.h \\\n d.h\n'), ['a.c', 'b c.h', 'd.h']);
});
