import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { compileC } from '@kstitch/testkit/compile';
import { kernelFlags, sectionFlags } from '@kstitch/testkit/small-kernel';
import { main } from '../main.ts';
import { machine } from '../test-machine.ts';

const directory = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(directory, { recursive: true, force: true }));

const source =
  'int g(int); int limit = 5; int f(int x) { return g(x + 1); } int k(int x) { return g(x) * limit; }';

/** @returns the path of the compiled source */
function object(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, compileC(text, [...kernelFlags, ...sectionFlags]));
  return path;
}

const before = object('before.o', source);
const changed = object('changed.o', source.replace('x + 1', 'x + 2').concat(' int n(int x) { return x; }'));
const data = object('data.o', source.replace('limit = 5', 'limit = 6'));

async function run(...words: string[]) {
  const here = machine();
  const status = await main(['diff-objects', ...words], here);
  return { status, out: here.stdout.text, err: here.stderr.text };
}

test('diff-objects names what changed and what is new, status 0', async () => {
  const text = await run(before, changed);
  assert.equal(text.status, 0);
  assert.equal(text.out, 'changed function: f()\nnew function: n(), global\n');
  const { status, out } = await run(before, changed, '--json');
  assert.equal(status, 0);
  const json = JSON.parse(out);
  assert.equal(json.schema, 'kstitch/diff-objects/1');
  assert.deepEqual(
    json.changed.map((one: { name: string }) => one.name),
    ['f'],
  );
  assert.deepEqual(
    json.added.map((one: { name: string }) => one.name),
    ['n'],
  );
  assert.deepEqual(json.diagnostics, []);
});

test('diff-objects exits with 3 where nothing differs and 2 where it cannot be patched', async () => {
  const nothing = await run(before, before);
  assert.deepEqual([nothing.status, nothing.out], [3, 'no functional difference\n']);
  const refused = await run(before, data);
  assert.equal(refused.status, 2);
  assert.match(refused.err, /refused\[data-changed\]/);
  const json = JSON.parse((await run(before, data, '--json')).out);
  assert.deepEqual([json.changed, json.added], [[], []]);
  assert.equal(json.diagnostics[0].code, 'data-changed');
});

test('diff-objects does not call a constant of init code that may be a line number no difference', async () => {
  const setup = (line: number) =>
    `void warn_slowpath_null(const char *, int);
     __attribute__((section(".init.text"))) int setup(int x) { if (x) warn_slowpath_null("f.c", ${line}); return 2; }`;
  const paths = [123, 125].map(line => object(`line-${line}.o`, setup(line)));
  const { status, out, err } = await run(...paths);
  assert.deepEqual([status, out], [0, 'no functional difference but what may be line numbers\n']);
  assert.match(err, /caution\[may-be-line-number\]: setup\(\), which runs only at boot/);
});

test('diff-objects --explain shows both sides, and fails for a function that is not there', async () => {
  const { out } = await run(before, changed, '--explain', 'f');
  assert.match(out, /^f: the code differs at \+0x/m);
  assert.match(out, /^> \+0x\w+ +add +\$0x1,%edi$/m);
  assert.match(out, /^> \+0x\w+ +add +\$0x2,%edi$/m);
  const unknown = await run(before, changed, '--explain', 'nowhere');
  assert.equal(unknown.status, 1);
  assert.match(unknown.err, /function-not-in-objects/);
});

test('diff-objects fails for a file that is no object', async () => {
  const path = join(directory, 'text.o');
  writeFileSync(path, 'no object');
  const { status, err } = await run(before, path);
  assert.equal(status, 1);
  assert.match(err, /elf-/);
});
