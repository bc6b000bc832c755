import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { testKit } from './kit.ts';

/**
 * A patch made by replacing text in one file of a test kernel's source.
 *
 * @param path - `drivers/net/dummy.c`
 * @param from - lines that stand in it once
 * @param to - what is to stand there instead
 * @returns a unified diff with three lines of context
 */
export async function editPatch(path: string, from: string, to: string, release?: string): Promise<string> {
  const { sourceDirectory } = await testKit(release);
  const text = await readFile(join(sourceDirectory, path), 'latin1');
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`'${from}' stands ${parts.length - 1} times in ${path}`);
  const [head = '', tail = ''] = parts;
  const before = lines(head).slice(-context);
  const after = lines(tail).slice(0, context);
  const old = lines(from);
  const fresh = lines(to);
  const start = lines(head).length - before.length + 1;
  const span = (changed: readonly string[]) => `${start},${before.length + changed.length + after.length}`;
  const mark = (prefix: string, list: readonly string[]) => list.map(line => `${prefix}${line}\n`).join('');
  return (
    `--- a/${path}\n+++ b/${path}\n@@ -${span(old)} +${span(fresh)} @@\n` +
    mark(' ', before) +
    mark('-', old) +
    mark('+', fresh) +
    mark(' ', after)
  );
}

const context = 3;

/** Whole lines: every text handed in ends with a line break. */
function lines(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n');
}
