import type { Command } from 'commander';
import { finish, graceDefault, livepatchName, type Run, wholeNumber } from '../command-line.ts';
import { mindRoot } from '../mind-root.ts';
import { type CommonOptions, fields, paragraphs, section } from '../run-command.ts';

interface UnloadOptions extends CommonOptions {
  readonly timeout: number;
  readonly grace?: number;
  readonly keep?: boolean;
}

/** `kstitch unload NAME` */
export function addUnload(program: Command, run: Run): void {
  const command = program
    .command('unload')
    .summary('take a livepatch out of the running kernel')
    .description(
      'Disables the livepatch and waits until every task has moved back to the old code. Its module is removed when its record ' +
        'calls that safe, some time later, and when no stack has an address of it; otherwise it stays, disabled.',
    )
    .argument('<name>', 'the livepatch, as `kstitch list` shows it', livepatchName)
    .option(
      '--timeout <seconds>',
      'time for all tasks to move; then it is enabled again',
      wholeNumber(1, 86_400),
      60,
    )
    .option(
      '--grace <seconds>',
      `time between disabling and removing (default: ${graceDefault})`,
      wholeNumber(0, 86_400),
    )
    .option('--keep', 'disable only');
  finish(command, ['kstitch unload kstitch_ext4_mballoc_1a2b3c4d']);
  command.action((name: string, { timeout, grace, keep, ...options }: UnloadOptions) =>
    run('unload', options, async context => {
      const { openManager } = await import('@kstitch/manager/manager');
      const { unloadLivepatch } = await import('@kstitch/manager/unload');
      const { readConfigIfPossible } = await import('@kstitch/manager/config');
      mindRoot('unload');
      const manager = openManager();
      const result = await unloadLivepatch(context, manager, {
        name,
        timeoutSeconds: timeout,
        graceSeconds: grace ?? (await readConfigIfPossible(manager.machine, context.diagnostics)).grace,
        keep: keep === true,
      });
      const { transitionSeconds, reasons } = result;
      return {
        json: { ...result },
        text: look =>
          paragraphs([
            fields(look, [
              ['livepatch', name],
              [
                'result',
                result.result === 'removed' ? 'disabled and removed' : 'disabled, its module is still there',
              ],
              ...(transitionSeconds === undefined
                ? []
                : ([['transition', `${transitionSeconds.toFixed(2)} s`]] as const)),
            ]),
            section(look, 'why it is still there', reasons),
          ]),
      };
    }),
  );
}
