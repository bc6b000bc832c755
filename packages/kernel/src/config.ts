/** The configuration that a kernel was built with (.config, written by scripts/kconfig). */
import { KstitchError } from '@kstitch/report/error';

/** Options by full name: `CONFIG_LIVEPATCH`. */
export class KernelConfig {
  /** `y`, `m`, a number, or a text without its quotes; options that are not set are not in it. */
  readonly values: ReadonlyMap<string, string>;

  constructor(values: ReadonlyMap<string, string>) {
    this.values = values;
  }

  /** @returns the value; undefined when the option is not set */
  get(option: string): string | undefined {
    return this.values.get(option);
  }

  /** @returns whether a yes-or-no option is built in or a module */
  isSet(option: string): boolean {
    const value = this.values.get(option);
    return value === 'y' || value === 'm';
  }

  isModule(option: string): boolean {
    return this.values.get(option) === 'm';
  }
}

/**
 * @param text - a whole .config
 * @throws KstitchError - `kernel-text-file`, with the line's number
 */
export function parseConfig(text: string): KernelConfig {
  const values = new Map<string, string>();
  for (const [index, line] of text.split('\n').entries()) {
    // `# CONFIG_X is not set` says the same as no line at all.
    if (line.trim() === '' || line.startsWith('#')) continue;
    const match = /^(CONFIG_\w+)=(.*)$/.exec(line);
    if (match?.[1] === undefined || match[2] === undefined) {
      throw new KstitchError(
        'kernel-text-file',
        `cannot read .config line ${index + 1}: '${line.slice(0, 80)}' is neither 'CONFIG_X=…' nor a comment`,
      );
    }
    values.set(match[1], unquoted(match[2]));
  }
  return new KernelConfig(values);
}

function unquoted(value: string): string {
  if (!(value.length >= 2 && value.startsWith('"') && value.endsWith('"'))) return value;
  return value.slice(1, -1).replaceAll(/\\(["\\])/g, '$1');
}
