import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { Refusal } from '@kstitch/report/diagnostic';
import { compiler, missingCompiler, readelfText } from '@kstitch/testkit/compile';
import { thisMachine } from '../root/workshop.ts';
import { compileChanged } from './compile-changed.ts';
import { loadCompileDatabase } from './compile-database.ts';

const skip = missingCompiler;
const root = await mkdtemp(join(tmpdir(), 'kstitch-changed-'));
after(() => rm(root, { recursive: true }));
process.env['KSTITCH_CACHE'] = join(root, 'cache');

const header = 'static inline int twice(int x)\n{\n\treturn x + x;\n}\n';
const sources: Readonly<Record<string, string>> = {
  'fs/h.h': header,
  'fs/user.c': '#include "h.h"\nint user(int x) { return twice(x); }\n',
  'fs/other.c': '#include "h.h"\nint other(int x) { return x; }\n',
  'fs/below/deep.c': '#include "../h.h"\nint deep(int x) { return twice(x) + 1; }\n',
};
const tree = join(root, 'tree');
for (const [path, text] of Object.entries(sources)) {
  await mkdir(dirname(join(tree, path)), { recursive: true });
  await writeFile(join(tree, path), text);
}
const kit = {
  release: '6.1.0-x',
  packageVersion: 'v',
  workshop: thisMachine,
  paths: { tree, units: join(root, 'units.tsv') },
};
const lines = Object.keys(sources)
  .filter(path => path.endsWith('.c'))
  .map(path => path.replace(/\.c$/, '.o'))
  .map(object => `${object}\t\t${compiler} -D__KERNEL__ -O2 -c -o ${object} ${object.replace('.o', '.c')}`);
await writeFile(kit.paths.units, `${lines.join('\n')}\n`);
const units = (await loadCompileDatabase(kit)).units();
const toolchain = { program: compiler, compiler: 'of this test', linker: '' };

async function changed(after: string) {
  const directory = await mkdtemp(join(root, 'work-'));
  const patch = { patches: [], files: [{ path: 'fs/h.h', before: header, after, blocks: [] }] };
  return {
    directory,
    found: await compileChanged(silentContext(), kit, toolchain, patch, units, directory),
  };
}

test('compileChanged() gives the units whose code a header changes, also those that include it from below', {
  skip,
}, async () => {
  const { found, directory } = await changed(header.replace('x + x', 'x * 5'));
  assert.deepEqual(
    found.map(unit => unit.command.source),
    ['fs/user.c', 'fs/below/deep.c'],
  );
  const [first] = found;
  const objects = await first?.load();
  const sections = (bytes: Uint8Array | undefined) => readelfText(bytes ?? new Uint8Array(), ['-SW']);
  assert.doesNotMatch(sections(objects?.asShipped), /\.text\.user/);
  assert.match(sections(objects?.before), /\.text\.user/);
  assert.match(sections(objects?.after), /\.text\.user/);
  assert.notDeepEqual(objects?.after, objects?.before);
  assert.deepEqual(await first?.load(), objects, 'loaded again, the same');

  // Of units that stay the same no object is kept.
  const kept = (await readdir(directory)).filter(name => name.endsWith('-2.o'));
  assert.equal(kept.length, 2);
  assert.deepEqual(await readFile(join(directory, kept[0] ?? '')), Buffer.from(objects?.after ?? []));
});

test('compileChanged() finds nothing in comments', { skip }, async () => {
  assert.deepEqual((await changed(`/* one\n * more\n */\n${header}`)).found, []);
});

test('compileChanged() says once what is wrong with a header', { skip }, async () => {
  await assert.rejects(changed(header.replace('x + x', 'nonsense')), (error: unknown) => {
    assert.ok(error instanceof Refusal);
    assert.equal(error.diagnostics.length, 1);
    assert.equal(error.diagnostics[0]?.code, 'compile-error');
    assert.equal(error.diagnostics[0].notes.at(-1), 'the same in 2 more units');
    return true;
  });
});
