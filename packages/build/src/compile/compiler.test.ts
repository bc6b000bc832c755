import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { compiler, missingCompiler } from '@kstitch/testkit/compile';
import { thisMachine } from '../root/workshop.ts';
import { checkCompiler } from './compiler.ts';

const skip = missingCompiler;
const firstLine = (program: string) =>
  execFileSync(program, ['--version'], { encoding: 'utf8' }).split('\n')[0]!;
const tool = (program: string, text: string) => ({ program, text, version: '', packageVersion: undefined });

test('checkCompiler() takes the compiler and linker of the banner', { skip }, async () => {
  const context = silentContext();
  const banner = { compiler: tool(compiler, firstLine(compiler)), linker: tool('GNU ld', firstLine('ld')) };
  assert.deepEqual(await checkCompiler(context, thisMachine, banner), {
    program: compiler,
    compiler: firstLine(compiler),
    linker: firstLine('ld'),
  });
  assert.deepEqual(context.diagnostics, []);
});

test('checkCompiler() refuses another revision of the same compiler and names both', { skip }, async () => {
  const wanted = `${firstLine(compiler)}x`;
  const banner = { compiler: tool(compiler, wanted), linker: tool('GNU ld', firstLine('ld')) };
  await assert.rejects(checkCompiler(silentContext(), thisMachine, banner), {
    code: 'wrong-compiler',
    message: `the kernel was built with '${wanted}', this machine has '${firstLine(compiler)}'`,
  });
});

test('checkCompiler() only warns of another linker', { skip }, async () => {
  const context = silentContext();
  await checkCompiler(context, thisMachine, {
    compiler: tool(compiler, firstLine(compiler)),
    linker: tool('GNU ld', 'GNU ld 1.0'),
  });
  assert.deepEqual(
    context.diagnostics.map(d => [d.code, d.severity]),
    [['linker-differs', 'caution']],
  );
});

test('checkCompiler() runs nothing that a banner could smuggle in', async () => {
  const banner = { compiler: tool('../../bin/sh', 'x'), linker: tool('GNU ld', 'y') };
  await assert.rejects(checkCompiler(silentContext(), thisMachine, banner), { code: 'wrong-compiler' });
});

test('checkCompiler() says which program is missing', async () => {
  const banner = { compiler: tool('gcc-0-nonexistent', 'gcc-0'), linker: tool('GNU ld', 'y') };
  await assert.rejects(checkCompiler(silentContext(), thisMachine, banner), {
    code: 'host-tool-missing',
    message: /gcc-0-nonexistent/,
  });
});
