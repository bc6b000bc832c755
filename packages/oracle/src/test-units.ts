/** Small units for tests, compiled by the real gcc and read as the oracle reads. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { type CompileOptions, compileC } from '@kstitch/testkit/compile';
import { type ObjectText, readObjectText } from './object-text.ts';
import { readTables } from './special-tables.ts';
import type { Side } from './twins.ts';
import { type Part, readUnitParts } from './unit-parts.ts';

const work = mkdtempSync(join(tmpdir(), 'kstitch-oracle-test-'));
after(() => rmSync(work, { recursive: true, force: true }));
let files = 0;

const flags = [
  '-ffreestanding',
  '-mcmodel=kernel',
  '-fcf-protection=none',
  '-fno-asynchronous-unwind-tables',
];
const sections = ['-ffunction-sections', '-fdata-sections'];

/** @returns path of the object */
export function compiled(
  source: string,
  options: CompileOptions & { readonly whole?: boolean } = {},
): string {
  const { whole, ...rest } = options;
  const path = join(work, `${(files += 1)}.o`);
  writeFileSync(path, compileC(source, [...flags, ...(whole === true ? [] : sections)], rest));
  return path;
}

/** @returns path of what `ld -r` makes of them */
export function linked(...paths: readonly string[]): string {
  const path = join(work, `${(files += 1)}.o`);
  execFileSync('ld', ['-r', '-o', path, ...paths]);
  return path;
}

export async function objectOf(path: string): Promise<ObjectText> {
  return await readObjectText(path, new AbortController().signal);
}

export async function sideOf(path: string): Promise<Side> {
  const unit = await readUnitParts(path, new AbortController().signal);
  return { unit, tables: readTables(unit) };
}

export function partNamed({ unit }: Side, name: string): Part {
  const [part] = unit.named(name);
  if (part === undefined) throw new Error(`The unit has no '${name}'`);
  return part;
}
