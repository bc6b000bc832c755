import { realpath } from 'node:fs/promises';
import type { ElfSymbol } from '@kstitch/elf/model';
import { readElf } from '@kstitch/elf/read';
import { fileError } from '@kstitch/host/files';
import { run } from '@kstitch/host/run';
import type { Context } from '@kstitch/report/context';
import { type CompileOptions, compileUnit } from '../compile/compile-unit.ts';
import type { UnitCommand } from '../compile/unit-command.ts';
import { withoutDots } from '../patch/source-path.ts';

/** A line of the source, and the function that it is written in. */
export interface SourceLine {
  readonly function: string;
  /** Path below the kernel source. */
  readonly file: string;
  readonly line: number;
}

/** A unit compiled with debug information, to be asked where in the source its bytes come from. */
export class DebugObject {
  readonly #context: Context;
  readonly #path: string;
  /** Where it was compiled: the names of files begin with that. */
  readonly #root: string;
  readonly #symbols: ReadonlyMap<string, ElfSymbol>;
  #declarations: Promise<ReadonlyMap<string, readonly SourceLine[]>> | undefined;

  private constructor(context: Context, path: string, root: string, symbols: readonly ElfSymbol[]) {
    this.#context = context;
    this.#path = path;
    this.#root = root;
    this.#symbols = new Map(symbols.map(symbol => [symbol.name, symbol]));
  }

  /** @throws KstitchError - as {@link compileUnit} */
  static async compile(context: Context, unit: UnitCommand, options: CompileOptions): Promise<DebugObject> {
    const extraFlags = [...(options.extraFlags ?? []), '-g'];
    const bytes = await compileUnit(context, unit, { ...options, extraFlags });
    const root = await realpath(options.cwd).catch((error: unknown) => {
      throw fileError(`find '${options.cwd}'`, error);
    });
    return new DebugObject(context, options.output, root, readElf(bytes, unit.object).symbols);
  }

  /** @returns the function or object of that name, if the object defines one */
  symbol(name: string): ElfSymbol | undefined {
    const symbol = this.#symbols.get(name);
    return symbol?.section === undefined ? undefined : symbol;
  }

  /**
   * @param offset - of an instruction, in bytes from the function's symbol; one within the instruction is as good
   * @returns the line that it comes from, and behind it the lines of the calls by which that was inlined, innermost first;
   *   empty where the compiler does not say
   */
  async linesOf(symbol: ElfSymbol, offset: number): Promise<readonly SourceLine[]> {
    if (symbol.section === undefined) return [];
    const address = `0x${(Number(symbol.st_value) + offset).toString(16)}`;
    const { stdout } = await run(
      'addr2line',
      ['--functions', '--inlines', `--exe=${this.#path}`, `--section=${symbol.section.name}`, address],
      { signal: this.#context.signal },
    );
    return parseFrames(stdout).map(frame => ({ ...frame, file: this.#relative(frame.file) }));
  }

  /**
   * @param offsets - of instructions, in bytes from the function's symbol
   * @returns as {@link linesOf}, for each of them; those that the compiler does not tell are left out
   */
  async allLinesOf(
    symbol: ElfSymbol,
    offsets: Iterable<number>,
  ): Promise<readonly (readonly SourceLine[])[]> {
    if (symbol.section === undefined) return [];
    const start = Number(symbol.st_value);
    const addresses = Array.from(offsets, offset => `0x${(start + offset).toString(16)}\n`).join('');
    const { stdout } = await run(
      'addr2line',
      ['--addresses', '--functions', '--inlines', `--exe=${this.#path}`, `--section=${symbol.section.name}`],
      { signal: this.#context.signal, input: addresses },
    );
    return stdout
      .split(/^0x[0-9a-f]+\n/m)
      .map(parseFrames)
      .filter(frames => frames.length > 0)
      .map(frames => frames.map(frame => ({ ...frame, file: this.#relative(frame.file) })));
  }

  /** @returns the line that a function or an object is defined in; empty where the compiler does not say */
  async declarationOf(symbol: ElfSymbol): Promise<readonly SourceLine[]> {
    this.#declarations ??= this.#readDeclarations();
    return (await this.#declarations).get(symbol.name) ?? [];
  }

  async #readDeclarations(): Promise<ReadonlyMap<string, readonly SourceLine[]>> {
    const { stdout } = await run('nm', ['--line-numbers', '--defined-only', this.#path], {
      signal: this.#context.signal,
    });
    const lines = stdout.split('\n').flatMap(text => {
      const [, name, file, line] = /^[0-9a-f]+ \S (\S+)\t(.+):(\d+)$/.exec(text) ?? [];
      if (name === undefined || file === undefined) return [];
      return [[name, [{ function: name, file: this.#relative(file), line: Number(line) }]] as const];
    });
    return new Map(lines);
  }

  #relative(file: string): string {
    const below = file.startsWith(`${this.#root}/`) ? file.slice(this.#root.length + 1) : file;
    return below.startsWith('/') ? below : withoutDots(below);
  }
}

/**
 * @param text - what `addr2line -f -i` says of one address: a line with the function and one with the place, by turns
 * @returns what is known of it, as far as that reaches outwards from the innermost
 */
export function parseFrames(text: string): readonly SourceLine[] {
  const lines = text.trimEnd().split('\n');
  const frames: SourceLine[] = [];
  for (let i = 0; i + 1 < lines.length; i += 2) {
    // `fs/foo.c:12 (discriminator 3)`, `??:0` where nothing is known, `fs/foo.c:?` where the line is not.
    const [, file, line] = /^(.+):(\d+)(?: \(discriminator \d+\))?$/.exec(lines[i + 1] ?? '') ?? [];
    if (file === undefined || file === '??' || Number(line) === 0) break;
    frames.push({ function: lines[i] ?? '', file, line: Number(line) });
  }
  return frames;
}
