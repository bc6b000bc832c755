/** The real compiler and readelf for tests: objects are made on the fly instead of being kept as files. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The compiler that Debian 12's kernels are built with, or what the environment variable `CC` says. */
export const compiler = process.env['CC'] ?? 'gcc-12';

/**
 * For `{ skip: missingCompiler }` of a test that cannot do without.
 *
 * `false` where compiler and readelf can be run, else the reason.
 */
export const missingCompiler: string | false = missingOf(compiler, 'readelf');

export interface CompileOptions {
  /** Another compiler than {@link compiler}: `clang-14`. */
  readonly compiler?: string;
  /** `assembler` takes `source` as a `.S` file; default `c`. */
  readonly language?: 'c' | 'assembler';
  /** Name of the source without its ending, which ends up in `STT_FILE`; default `unit`. */
  readonly name?: string;
  /** Link an executable instead of stopping at the object. */
  readonly link?: boolean;
}

/**
 * Compiles in a temporary directory of its own.
 *
 * @param flags - further flags; `-O2 -g0 -fno-pic` come first, so they can be overridden
 * @returns the bytes of the object (`ET_REL`), or of the executable with `link`
 * @throws Error - with the compiler's words
 */
export function compileC(
  source: string,
  flags: readonly string[] = [],
  options: CompileOptions = {},
): Uint8Array {
  return inTemporaryDirectory(directory => {
    const input = `${options.name ?? 'unit'}.${options.language === 'assembler' ? 'S' : 'c'}`;
    writeFileSync(join(directory, input), source);
    const stop = options.link === true ? [] : ['-c'];
    const program = options.compiler ?? compiler;
    const run = spawnSync(
      program,
      ['-O2', '-g0', '-fno-pic', '-fno-pie', '-no-pie', ...flags, ...stop, '-o', 'output', input],
      { cwd: directory, encoding: 'utf8' },
    );
    if (run.error !== undefined) throw run.error;
    if (run.status !== 0) throw new Error(`${program} ${input} failed:\n${run.stderr}`);
    return new Uint8Array(readFileSync(join(directory, 'output')));
  });
}

/**
 * @param args - for example `-hSsrgW`
 * @returns what readelf prints about a file of these bytes, warnings included, the file's name replaced by `file`
 * @throws Error - when readelf fails
 */
export function readelfText(bytes: Uint8Array, args: readonly string[]): string {
  return inTemporaryDirectory(directory => {
    writeFileSync(join(directory, 'file'), bytes);
    const run = spawnSync('readelf', [...args, 'file'], {
      cwd: directory,
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
      maxBuffer: 1024 * 1024 * 1024,
    });
    if (run.error !== undefined) throw run.error;
    if (run.status !== 0) throw new Error(`readelf ${args.join(' ')} failed:\n${run.stderr}`);
    return run.stdout + run.stderr;
  });
}

/**
 * For comparing two files that may differ by where in the file things are, and by nothing else.
 *
 * @param text - what `readelf` printed with any of `-hSsrg` and `-W`
 * @returns the text with every file offset replaced by `OFFSET`
 */
export function withoutFileOffsets(text: string): string {
  return text
    .replace(/^(  Start of section headers: +)\d+/m, '$1OFFSET')
    .replace(/^(There are \d+ section headers, starting at offset )0x[0-9a-f]+/m, '$1OFFSET')
    .replaceAll(/^(  \[ *\d+\] .* [0-9a-f]{16} )[0-9a-f]{6,}( [0-9a-f]{6,} )/gm, '$1OFFSET$2')
    .replaceAll(/^(Relocation section '.*' at offset )0x[0-9a-f]+( contains)/gm, '$1OFFSET$2');
}

function inTemporaryDirectory<T>(work: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
  try {
    return work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** @returns `false` where all of the tools can be run, else which cannot */
export function missingOf(...tools: readonly string[]): string | false {
  for (const tool of tools) {
    try {
      execFileSync(tool, ['--version'], { stdio: 'ignore' });
    } catch {
      return `${tool} is not installed`;
    }
  }
  return false;
}
