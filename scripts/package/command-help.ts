import { buildProgram } from '@kstitch/cli/program';
import { version } from '@kstitch/report/version';
import type { Argument, Command, Option } from 'commander';

/** What the help of one command says, for other forms of it. */
export interface CommandHelp {
  /** `kernel fetch`; empty for kstitch itself. */
  readonly words: string;
  readonly summary: string;
  readonly description: string;
  readonly arguments: readonly Argument[];
  /** Without `--help`, which all have. */
  readonly options: readonly Option[];
  /** The words below the options, by their headings: `Example`, `Exit status`. */
  readonly sections: readonly { readonly heading: string; readonly lines: readonly string[] }[];
  /** Names of the commands below it. */
  readonly commands: readonly string[];
}

/** @returns kstitch itself, then its commands in the order of its help */
export async function readHelp(): Promise<CommandHelp[]> {
  const program = await buildProgram({
    version,
    run: () => Promise.resolve(),
    writeOut: () => {},
    writeErr: () => {},
    columns: 80,
  });
  return readCommand(program, '');
}

function readCommand(command: Command, words: string): CommandHelp[] {
  const help = command.createHelp();
  const children = command.commands.filter(child => child.name() !== 'help');
  return [
    {
      words,
      summary: command.summary(),
      description: command.description(),
      arguments: command.registeredArguments,
      options: help.visibleOptions(command).filter(({ long }) => long !== '--help'),
      sections: readSections(command),
      commands: children.map(child => child.name()),
    },
    ...children.flatMap(child =>
      readCommand(child, words === '' ? child.name() : `${words} ${child.name()}`),
    ),
  ];
}

/** `addHelpText('after')` keeps its text to itself: it is what is written after the help proper. */
function readSections(command: Command): CommandHelp['sections'] {
  const written: string[] = [];
  command.configureOutput({ writeOut: words => void written.push(words) }).outputHelp();
  const text = written.slice(1).join('');
  return text
    .split(/\n(?=\S)/)
    .map(section => section.trim().split('\n'))
    .filter(([heading = '']) => heading !== '')
    .map(([heading = '', ...lines]) => ({
      heading: heading.replace(/:$/, ''),
      lines: lines.map(line => line.replace(/^ {2}/, '')),
    }));
}

/** @returns what an option does, with its default: `time for all tasks to move (default: 60)` */
export function describeOption({ description, defaultValue }: Option): string {
  const plain = typeof defaultValue === 'number' || typeof defaultValue === 'string';
  return plain ? `${description} (default: ${defaultValue})` : description;
}

/** `<patch...>`, as in the command's usage. */
export function argumentTerm(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}
