import { KstitchError } from '@kstitch/report/error';
import { ExitStatus } from '@kstitch/report/exit-status';
import { version } from '@kstitch/report/version';
import { toKstitchError } from './failure.ts';
import { type Machine, thisProcess } from './machine.ts';
import { buildProgram, CommandLineEnd, type ProgramOptions } from './program.ts';
import { runCommand } from './run-command.ts';
import { lookOf, writeAll } from './terminal.ts';

/**
 * Reads the command line and runs the command.
 *
 * @param argv - the words after `kstitch`
 * @returns the exit status
 */
export async function main(argv: readonly string[], machine: Machine): Promise<ExitStatus> {
  let status: ExitStatus = ExitStatus.done;
  // Help and version are kept and written at the end, like every other result: a full disk or a closed pipe shows there.
  let help = '';
  let helpBesideError = '';
  const options: ProgramOptions = {
    version,
    run: async (command, options, work) => {
      status = await runCommand(command, options, work, machine);
    },
    writeOut: text => void (help += text),
    writeErr: text => void (helpBesideError += text),
    columns: lookOf(machine.stdout, machine.env).columns,
  };
  try {
    const program = await buildProgram(options, argv);
    await program.parseAsync(argv, { from: 'user' });
    return status;
  } catch (error) {
    const frame = { json: argv.includes('--json') && help === '', debug: argv.includes('--debug') };
    if (!(error instanceof CommandLineEnd)) {
      return await runCommand('error', frame, () => Promise.reject(toKstitchError(error)), machine);
    }
    if (error.exitCode === 0) {
      return await runCommand('help', frame, () => Promise.resolve({ json: {}, text: () => help }), machine);
    }
    // `kstitch` alone: its help is the best answer, and yet nothing that a script should take for success.
    if (error.commanderCode === 'commander.help') {
      await writeAll(machine.stderr, helpBesideError).catch(() => {});
      return ExitStatus.usage;
    }
    return await runCommand(
      error.command || 'error',
      frame,
      () => Promise.reject(usageError(error)),
      machine,
    );
  }
}

function usageError(end: CommandLineEnd): KstitchError {
  const text = end.message
    .replace(/^error: /, '')
    .replace(/\n\(Did you mean (.*)\?\)$/s, ' (did you mean $1?)')
    .replace(/\.$/, '');
  const words = end.command === '' ? 'kstitch' : `kstitch ${end.command}`;
  return new KstitchError('usage', text, { help: `\`${words} --help\` shows the arguments and an example` });
}

/** Runs this process's command line and ends the process. */
async function mainOfProcess(): Promise<never> {
  const machine = thisProcess();
  // A rejection that nobody awaited is a defect like any other, and told in the same words.
  const crash = (error: unknown): void => {
    void runCommand(
      'error',
      { json: process.argv.includes('--json') },
      () => Promise.reject(error),
      machine,
    ).then(status => process.exit(status));
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  process.exit(await main(process.argv.slice(2), machine));
}

// Not awaited: the one file of a package is CommonJS, which knows no `await` at its top.
if (import.meta.main) void mainOfProcess();
