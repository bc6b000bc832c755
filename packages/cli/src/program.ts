import { type Argument, Command, type CommanderError } from 'commander';
import type { Run } from './command-line.ts';

type AddCommand = (program: Command, run: Run) => void;

/** In the order of the help. A run loads only its own: finding and linking the others would take longer than a short command. */
const commands: Readonly<Record<string, () => Promise<AddCommand>>> = {
  kernel: async () => (await import('./commands/kernel.ts')).addKernel,
  delta: async () => (await import('./commands/delta.ts')).addDelta,
  'diff-objects': async () => (await import('./commands/diff-objects.ts')).addDiffObjects,
  review: async () => (await import('./commands/review.ts')).addReview,
  build: async () => (await import('./commands/build.ts')).addBuild,
  inspect: async () => (await import('./commands/inspect.ts')).addInspect,
  prove: async () => (await import('./commands/prove.ts')).addProve,
  load: async () => (await import('./commands/load.ts')).addLoad,
  unload: async () => (await import('./commands/unload.ts')).addUnload,
  'reload-target': async () => (await import('./commands/reload-target.ts')).addReloadTarget,
  list: async () => (await import('./commands/list.ts')).addList,
  status: async () => (await import('./commands/status.ts')).addStatus,
  explain: async () => (await import('./commands/explain.ts')).addExplain,
  history: async () => (await import('./commands/history.ts')).addHistory,
  install: async () => (await import('./commands/install.ts')).addInstall,
  uninstall: async () => (await import('./commands/uninstall.ts')).addUninstall,
  boot: async () => (await import('./commands/boot.ts')).addBoot,
};

/** Commander found the command line wanting, or has printed the help or the version that was asked for. */
export class CommandLineEnd extends Error {
  override readonly name = 'CommandLineEnd';
  /** The words of the command it happened in: `kernel fetch`; empty for kstitch itself. */
  readonly command: string;
  readonly commanderCode: string;
  readonly exitCode: number;

  constructor(command: string, error: CommanderError) {
    super(error.message, { cause: error });
    this.command = command;
    this.commanderCode = error.code;
    this.exitCode = error.exitCode;
  }
}

export interface ProgramOptions {
  readonly version: string;
  readonly run: Run;
  readonly writeOut: (text: string) => void;
  readonly writeErr: (text: string) => void;
  /** Width for help texts. */
  readonly columns: number;
}

/**
 * The command line of kstitch. Nothing in it ends the process: parsing throws {@link CommandLineEnd}.
 *
 * @param words - what will be parsed. Where the first word is a command's, the program has that command alone; else it has all of
 *   them, since help, a suggestion for a mistyped word, or an option before the command may need any.
 */
export async function buildProgram(
  { version, run, writeOut, writeErr, columns }: ProgramOptions,
  words: readonly string[] = [],
): Promise<Command> {
  const program = new Command('kstitch')
    .description(
      'Fixes the Linux kernel that is running: turns a source patch into a livepatch for a stock Debian kernel, and proves it ' +
        'in a virtual machine.',
    )
    .version(`kstitch ${version}`, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .configureHelp({
      // Without '[options]', which every command has, the summaries have room in 80 columns.
      subcommandTerm: command => [command.name(), ...command.registeredArguments.map(argumentTerm)].join(' '),
    })
    .configureOutput({
      writeOut,
      writeErr,
      outputError: () => {}, // shown by main, like every other error
      getOutHelpWidth: () => columns,
      getErrHelpWidth: () => columns,
    })
    .addHelpText(
      'after',
      `
Exit status:
  0 done, 1 error, 2 refused, 3 nothing to do, 4 not possible now, 5 timed out
  and reversed, 64 wrong usage, 130 interrupted

Example:
  $ kstitch kernel fetch 6.1.0-55-cloud-amd64
  $ kstitch delta 6.1.192-1 6.1.192-2 fs/ext4/mballoc.c > ext4.patch
  $ kstitch build ext4.patch --kernel 6.1.0-55-cloud-amd64 -o out
  $ kstitch prove out/kstitch_ext4_*.ko --reproducer repro.sh`,
    );

  const own = words[0] !== undefined && Object.hasOwn(commands, words[0]) ? commands[words[0]] : undefined;
  for (const load of own === undefined ? Object.values(commands) : [own]) (await load())(program, run);

  endByThrowing(program, '');
  return program;
}

function argumentTerm(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function endByThrowing(command: Command, words: string): void {
  command.exitOverride(error => {
    throw new CommandLineEnd(words, error);
  });
  for (const child of command.commands)
    endByThrowing(child, words === '' ? child.name() : `${words} ${child.name()}`);
}
