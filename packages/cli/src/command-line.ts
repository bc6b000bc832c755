import { type Command, InvalidArgumentError } from 'commander';
import type { CommonOptions, Work } from './run-command.ts';

/** Runs a command's work in its frame; see `runCommand`. */
export type Run = (command: string, options: CommonOptions, work: Work) => Promise<void>;

/** Gives `command` the options that every command has, and an example below its help. */
export function finish(command: Command, examples: readonly string[]): Command {
  return command
    .option('--json', 'print one JSON object on standard output, also for errors')
    .option('-q, --quiet', 'show no progress')
    .option('--timing', 'show at the end where the time went')
    .option('--debug', 'show the stack and the causes of an error')
    .addHelpText(
      'after',
      `\nExample${examples.length === 1 ? '' : 's'}:\n${examples.map(line => `  $ ${line}`).join('\n')}`,
    );
}

/** @returns a parser of option values: whole decimal numbers within limits */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return text => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

/** Where an option is left out; for its help. */
export const graceDefault = "'grace' of /etc/kstitch.toml, else 60";

/** What `uname -r` prints can become part of paths and of apt's command line: nothing else may. */
export function kernelRelease(text: string): string {
  if (!/^[0-9][A-Za-z0-9.+~_-]{0,63}$/.test(text) || text.includes('..')) {
    throw new InvalidArgumentError(
      "It must be a kernel release as `uname -r` prints it, such as '6.1.0-55-cloud-amd64'.",
    );
  }
  return text;
}

/** A release, or the name of a kit of a kernel that no archive has: the release and 12 digits of what it was made from. */
export function kitName(text: string): string {
  kernelRelease(text.replace(/@[0-9a-f]{12}$/, ''));
  return text;
}

/** The characters that Debian's policy allows in a version; it begins with a digit. */
export function packageVersion(text: string): string {
  if (!/^[0-9][A-Za-z0-9.+:~-]{0,63}$/.test(text)) {
    throw new InvalidArgumentError("It must be a Debian package version, such as '6.1.192-1'.");
  }
  return text;
}

/** A web address without anything that a shell or apt would read otherwise. */
export function webAddress(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || /[\s'"\\]/.test(text)) {
    throw new InvalidArgumentError('It must be an http or https address.');
  }
  return text;
}

export function sha256Digest(text: string): string {
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new InvalidArgumentError('It must be 64 hexadecimal digits.');
  return text.toLowerCase();
}

/** The kernel's own names of modules; `-` and `_` are one character to it. */
export function kernelModule(text: string): string {
  if (!/^[A-Za-z0-9_-]{1,55}$/.test(text)) {
    throw new InvalidArgumentError("It must be a module of the kernel, such as 'nf_tables'.");
  }
  return text;
}

/** @returns whether it may be a livepatch's name, and with that a part of paths */
export function isLivepatchName(text: string): boolean {
  return /^[A-Za-z0-9_]{1,55}$/.test(text);
}

/** A livepatch that is loaded, as sysfs names it. */
export function livepatchName(text: string): string {
  if (!isLivepatchName(text)) {
    throw new InvalidArgumentError("It must be the name of a livepatch, as 'kstitch list' shows it.");
  }
  return text;
}
