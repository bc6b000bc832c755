import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { compileC } from '@kstitch/testkit/compile';
import { readObjectText } from './object-text.ts';
import { readTables } from './special-tables.ts';
import { readUnitParts } from './unit-parts.ts';

const directory = mkdtempSync(join(tmpdir(), 'kstitch-object-text-'));
after(() => rmSync(directory, { recursive: true }));
const { signal } = new AbortController();

test('readObjectText() gives the sections and symbols of an object', async () => {
  const path = join(directory, 'unit.o');
  writeFileSync(
    path,
    compileC('int f(int x) { return x + 1; } int g(int x) { return f(x); }', ['-ffunction-sections']),
  );
  const object = await readObjectText(path, signal);
  assert.deepEqual(
    object.symbols.filter(({ type }) => type === 'FUNC').map(({ name }) => name),
    ['f', 'g'],
  );
});

test('readTables() refuses a table that is not a whole number of entries', async () => {
  const path = join(directory, 'table.o');
  const entry = '.long f - .\\n.long 0\\n.byte 0\\n';
  writeFileSync(
    path,
    compileC(`void f(void) {} asm(".section .smp_locks,\\"a\\"\\n${entry}.long f - .\\n.text");`),
  );
  const parts = await readUnitParts(path, signal);
  assert.throws(() => readTables(parts), { code: 'oracle-unreadable' });
});
