import type { JournalEntry } from '@kstitch/manager/journal';
import { printable } from '@kstitch/report/render-text';
import type { Command } from 'commander';
import { finish, type Run, wholeNumber } from '../command-line.ts';
import { mindRoot } from '../mind-root.ts';
import { type CommonOptions, lines } from '../run-command.ts';

interface HistoryOptions extends CommonOptions {
  readonly last: number;
}

/** `kstitch history` */
export function addHistory(program: Command, run: Run): void {
  const command = program
    .command('history')
    .summary('show what kstitch did to the kernels of this machine')
    .description(
      'Shows the journal: each action when it began, and how and when it ended. The newest comes last.',
    )
    .option('--last <count>', 'only so many lines', wholeNumber(1, 1_000_000), 1_000_000);
  finish(command, ['kstitch history --last 20']);
  command.action(({ last, ...options }: HistoryOptions) =>
    run('history', options, async () => {
      mindRoot('history');
      const { Journal } = await import('@kstitch/manager/journal');
      const { stateDirectory } = await import('@kstitch/host/state-directory');
      const { entries, damagedLines } = new Journal(stateDirectory()).read();
      const shown = entries.slice(-last);
      return {
        json: { entries: shown, damagedLines },
        text: () => lines(shown.map(entry => printable(oneLine(entry)))),
      };
    }),
  );
}

function oneLine({ at, kernel, action, livepatch, target, phase, result, notes }: JournalEntry): string {
  const what = phase === 'begin' ? 'begins' : (result ?? phase);
  const why = notes === undefined ? '' : ` (${notes.join('; ')})`;
  const of = target === undefined ? livepatch : `${target} (${livepatch})`;
  return `${at}  ${kernel}  ${action} ${of}: ${what}${why}`;
}
