import type { LivepatchStatus } from '@kstitch/manager/status';
import { printable } from '@kstitch/report/render-text';
import type { Command } from 'commander';
import { finish, type Run } from '../command-line.ts';
import { type CommonOptions, lines } from '../run-command.ts';

/** `kstitch list` */
export function addList(program: Command, run: Run): void {
  const command = program
    .command('list')
    .summary('list the livepatches of the running kernel')
    .description(
      'Lists the livepatches that are loaded, in the order of loading: their states and what they mend.',
    );
  finish(command, ['kstitch list']);
  command.action((options: CommonOptions) =>
    run('list', options, async context => {
      const { openManager } = await import('@kstitch/manager/manager');
      const { readVisibleStatus, tellHidden } = await import('@kstitch/manager/status');
      const manager = openManager();
      const status = await readVisibleStatus(manager);
      const { livepatches } = status;
      const hidden = tellHidden(status);
      context.diagnostics.push(...hidden);
      const others = hidden.length > 0 ? 'what it mends only root may see' : 'not loaded by kstitch';
      return {
        json: { kernel: manager.kernel.release, livepatches },
        text: () => lines(livepatches.map(livepatch => renderListed(livepatch, others))),
      };
    }),
  );
}

/** @param others - said of what kstitch knows nothing about */
export function renderListed(
  { name, phase, forced, known, cves, patches, attestation }: LivepatchStatus,
  others: string,
): string {
  const what = cves.length > 0 ? cves : patches;
  const mends = known ? what.join(', ') : others;
  const isOut = attestation?.verdict === 'not in force';
  return printable(
    `${name}  ${phase}${forced ? ', forced' : ''}${isOut ? ', not in force' : ''}  ${mends}`.trimEnd(),
  );
}
