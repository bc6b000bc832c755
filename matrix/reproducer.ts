import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { run } from '@kstitch/host/run';

/**
 * Makes the shell script that `kstitch prove` runs. A program in C is linked statically, for the machine has no libraries, and
 * carried in the script.
 *
 * @param path - of a shell script or of a program in C
 * @param directory - to work in
 */
export async function makeReproducer(path: string, directory: string, signal: AbortSignal): Promise<string> {
  if (!path.endsWith('.c')) return await readFile(path, 'utf8');
  const program = join(directory, 'reproducer');
  await run('gcc', ['-Os', '-static', '-s', '-Wall', '-o', program, path], { signal });
  const text = gzipSync(await readFile(program), { level: 9 }).toString('base64');
  const lines = text.match(/.{1,76}/g) ?? [];
  return [
    '#!/bin/sh',
    "base64 -d >/tmp/reproducer.gz <<'END' || exit 9",
    ...lines,
    'END',
    'gunzip -c /tmp/reproducer.gz >/tmp/reproducer && chmod +x /tmp/reproducer || exit 9',
    'exec /tmp/reproducer',
    '',
  ].join('\n');
}
