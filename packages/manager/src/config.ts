/**
 * `/etc/kstitch.toml`. A file that is not there, and a key that is not in it, mean the defaults; whatever is in it and is not known is
 * refused with its line, for a mistyped key would be a setting that nobody has.
 */
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { limits } from './limits.ts';
import type { Machine } from './machine.ts';

/** In seconds, all of them. */
export interface Config {
  /** Between disabling a livepatch and removing its module. */
  readonly grace: number;
  readonly boot: {
    /** For the transition; after that it is reversed. */
    readonly timeout: number;
    /** Between that and the second try; 0: there is none. */
    readonly retry: number;
    /** For which the machine has to survive the load before the next boot may load it again. */
    readonly settled: number;
  };
}

export const configPath = '/etc/kstitch.toml';

export const defaults: Config = { grace: 60, boot: { timeout: 60, retry: 600, settled: 60 } };

/** Least and most, by the path of the key. */
const ranges: ReadonlyMap<string, readonly [least: number, most: number]> = new Map([
  ['grace', [0, 86_400]],
  ['boot.timeout', [1, 86_400]],
  ['boot.retry', [0, 86_400]],
  ['boot.settled', [1, 86_400]],
]);
const tables = ['boot'];

type Parse = (text: string) => Readonly<Record<string, unknown>>;

/** @throws KstitchError - `config-malformed`, `machine-unreadable`, `machine-not-root` */
export async function readConfig(machine: Machine): Promise<Config> {
  const bytes = machine.readBytes(configPath, limits.config);
  if (bytes === undefined) return defaults;
  const text = Buffer.from(bytes).toString('utf8');
  const { parse, TomlError } = await import('smol-toml');
  const values = new Map<string, number>();
  let entries: readonly (readonly [path: string, value: unknown])[];
  try {
    entries = flatten(parse(text));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw malformed(error.line, error.message.split('\n', 1)[0] ?? '', error);
  }
  for (const [path, value] of entries) {
    const line = lineOf(text, path, parse);
    const range = ranges.get(path);
    if (range === undefined)
      throw malformed(line, `'${path}' is no setting; there are ${[...ranges.keys()].join(', ')}`);
    const [least, most] = range;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most)
      throw malformed(line, `'${path}' must be a whole number of seconds from ${least} to ${most}`);
    values.set(path, value);
  }
  const { boot } = defaults;
  return {
    grace: values.get('grace') ?? defaults.grace,
    boot: {
      timeout: values.get('boot.timeout') ?? boot.timeout,
      retry: values.get('boot.retry') ?? boot.retry,
      settled: values.get('boot.settled') ?? boot.settled,
    },
  };
}

/** As {@link readConfig}, for who takes a livepatch back: a mistake in the settings, which is told, must not keep it in force. */
export async function readConfigIfPossible(machine: Machine, diagnostics: Diagnostic[]): Promise<Config> {
  try {
    return await readConfig(machine);
  } catch (error) {
    if (!(error instanceof KstitchError)) throw error;
    diagnostics.push(diagnostic('config-ignored', {}, `${error.message}; the defaults are used`));
    return defaults;
  }
}

function malformed(line: number, why: string, cause?: unknown): KstitchError {
  return new KstitchError('config-malformed', `read '${configPath}': line ${line}: ${why}`, { cause });
}

/** @returns the keys of the known tables as `boot.retry`; a table that is not known stands for itself */
function flatten(document: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(document).flatMap(([key, value]): [string, unknown][] =>
    tables.includes(key) && typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value).map(([inner, setting]) => [`${key}.${inner}`, setting])
      : [[key, value]],
  );
}

/** The parser does not tell where a key stands: in the first lines that are a document of their own and have it. */
function lineOf(text: string, path: string, parse: Parse): number {
  const lines = text.split('\n');
  const has = (count: number): boolean => {
    try {
      return flatten(parse(lines.slice(0, count).join('\n'))).some(([known]) => known === path);
    } catch {
      // The lines end within a value.
      return false;
    }
  };
  for (let count = 1; count < lines.length; count++) if (has(count)) return count;
  return lines.length;
}
