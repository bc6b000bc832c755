import { argumentTerm, type CommandHelp, describeOption } from './command-help.ts';

/**
 * kstitch(1), in the macros of man(7), from the program's own help.
 *
 * @param date - of the version, `2026-11-24`
 */
export function writeManPage(help: readonly CommandHelp[], version: string, date: string): string {
  const [program, ...all] = help;
  if (program === undefined) throw new RangeError('no help');
  const commands = all.filter(({ commands }) => commands.length === 0);
  const common = commonOptions(commands);
  const blocks = [
    `.TH KSTITCH 1 "${date}" "kstitch ${version}" "User Commands"`,
    '.SH NAME\nkstitch \\- mends the Linux kernel while it runs',
    `.SH SYNOPSIS\n.B kstitch\n.I command\n${text('[options] [arguments]')}`,
    `.SH DESCRIPTION\n${text(program.description)}`,
    '.SH COMMANDS',
    ...commands.map(command => writeCommand(command, common)),
    '.SH OPTIONS\nEvery command has:',
    ...(commands[0]?.options ?? [])
      .filter(({ flags }) => common.has(flags))
      .map(option => item(option.flags, describeOption(option))),
    ...program.sections.map(({ heading, lines }) => `.SH ${heading.toUpperCase()}\n${verbatim(lines)}`),
  ];
  return `${blocks.join('\n')}\n`;
}

/** @returns flags of the options that every command has */
export function commonOptions(commands: readonly CommandHelp[]): ReadonlySet<string> {
  const [first, ...others] = commands.map(({ options }) => options.map(({ flags }) => flags));
  return new Set(first?.filter(flags => others.every(other => other.includes(flags))));
}

function writeCommand(command: CommandHelp, common: ReadonlySet<string>): string {
  const own = command.options.filter(({ flags }) => !common.has(flags));
  const words = ['kstitch', command.words, ...command.arguments.map(argumentTerm)];
  return [
    `.SS "${text(words.join(' '))}"`,
    text(command.description),
    ...command.arguments.map(argument => item(argumentTerm(argument), argument.description)),
    ...own.map(option => item(option.flags, describeOption(option))),
    ...command.sections.map(({ heading, lines }) => `.PP\n${text(heading)}:\n${verbatim(lines)}`),
  ].join('\n');
}

function item(term: string, description: string): string {
  return `.TP\n.B ${text(term)}\n${text(description)}`;
}

function verbatim(lines: readonly string[]): string {
  return `.RS 4\n.nf\n${lines.map(text).join('\n')}\n.fi\n.RE`;
}

/** Text that roff prints as it is: `\\`, `-` and what it would take for a request at the beginning of a line (groff_char(7)). */
function text(words: string): string {
  return words
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('`', '\\(ga')
    .replaceAll("'", '\\(aq')
    .replaceAll('"', '\\(dq')
    .replaceAll(/^(?=\.)/gm, '\\&');
}
