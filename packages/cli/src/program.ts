import { type Argument, Command, type CommanderError } from 'commander';
import type { Run } from './command-line.ts';
import { addBoot } from './commands/boot.ts';
import { addBuild } from './commands/build.ts';
import { addDelta } from './commands/delta.ts';
import { addDiffObjects } from './commands/diff-objects.ts';
import { addExplain } from './commands/explain.ts';
import { addHistory } from './commands/history.ts';
import { addInspect } from './commands/inspect.ts';
import { addInstall } from './commands/install.ts';
import { addKernel } from './commands/kernel.ts';
import { addList } from './commands/list.ts';
import { addLoad } from './commands/load.ts';
import { addProve } from './commands/prove.ts';
import { addReloadTarget } from './commands/reload-target.ts';
import { addReview } from './commands/review.ts';
import { addStatus } from './commands/status.ts';
import { addUninstall } from './commands/uninstall.ts';
import { addUnload } from './commands/unload.ts';

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
 * The whole command line. Nothing in it ends the process: parsing throws {@link CommandLineEnd}.
 */
export function buildProgram({ version, run, writeOut, writeErr, columns }: ProgramOptions): Command {
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

  addKernel(program, run);
  addDelta(program, run);
  addDiffObjects(program, run);
  addReview(program, run);
  addBuild(program, run);
  addInspect(program, run);
  addProve(program, run);
  addLoad(program, run);
  addUnload(program, run);
  addReloadTarget(program, run);
  addList(program, run);
  addStatus(program, run);
  addExplain(program, run);
  addHistory(program, run);
  addInstall(program, run);
  addUninstall(program, run);
  addBoot(program, run);

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
