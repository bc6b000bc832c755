import { basename } from 'node:path';
import type { LoadResult } from '@kstitch/manager/load';
import { KstitchError } from '@kstitch/report/error';
import type { Look } from '@kstitch/report/render-text';
import type { Command } from 'commander';
import { finish, graceDefault, livepatchName, type Run, wholeNumber } from '../command-line.ts';
import { findLivepatch, isStoredName } from '../find-livepatch.ts';
import { mindRoot } from '../mind-root.ts';
import { type CommonOptions, fields, paragraphs, type Shell, section } from '../run-command.ts';

interface LoadOptions extends CommonOptions {
  readonly timeout: number;
  readonly grace?: number;
  readonly drop: readonly string[];
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

/** `kstitch load FILE|NAME` */
export function addLoad(program: Command, run: Run): void {
  const command = program
    .command('load')
    .summary('load a livepatch into the running kernel')
    .description(
      'Checks that the running kernel can take the livepatch, loads it, waits until every task has moved to the new code, and ' +
        'looks whether it is in force. When that does not end in time, it is taken back.',
    )
    .argument(
      '<livepatch>',
      'the module, NAME.ko with NAME.json beside it; or a NAME that was loaded or installed before',
    )
    .option('-n, --dry-run', 'check only')
    .option('--timeout <seconds>', 'time for all tasks to move', wholeNumber(1, 86_400), 60)
    .option(
      '--grace <seconds>',
      `for one of the same name that is disabled: time before it is removed (default: ${graceDefault})`,
      wholeNumber(0, 86_400),
    )
    .option(
      '--drop <name>',
      'an active livepatch that may be taken out of force, whatever it mends; may be given again',
      (name: string, earlier: readonly string[]) => [...earlier, livepatchName(name)],
      [],
    )
    .option(
      '--force',
      'when time is up, ask whether to move the remaining tasks by force, which may crash the kernel',
    );
  finish(command, [
    'kstitch load out/kstitch_ext4_mballoc_1a2b3c4d.ko',
    'kstitch load kstitch_ext4_mballoc_1a2b3c4d --dry-run',
  ]);
  command.action((livepatch: string, options: LoadOptions) =>
    run('load', options, async (context, shell) => {
      const { openManager } = await import('@kstitch/manager/manager');
      const { loadLivepatch } = await import('@kstitch/manager/load');
      const { readConfig } = await import('@kstitch/manager/config');
      const manager = openManager();
      const { force } = options;
      // A name is looked for in the state folder, and others have none but their own.
      if (isStoredName(livepatch)) mindRoot('load');
      const files = await findLivepatch(manager, 'load', livepatch, context.signal);
      if (options.dryRun !== true) mindRoot('load');
      const result = await loadLivepatch(context, manager, {
        files,
        what: `${basename(livepatch, '.ko')}.json`,
        timeoutSeconds: options.timeout,
        graceSeconds: options.grace ?? (await readConfig(manager.machine)).grace,
        drop: options.drop,
        dryRun: options.dryRun === true,
        ...(force === true ? { force: confirmForce(shell) } : {}),
      });
      return { json: { kernel: manager.kernel.release, ...result }, text: look => renderLoad(result, look) };
    }),
  );
}

function confirmForce(shell: Shell): (name: string) => Promise<boolean> {
  // Asked before anything is loaded, so that nobody finds out after the timeout that there is nobody to ask.
  if (!shell.interactive)
    throw new KstitchError(
      'load-force-declined',
      'ask whether to force the transition: nobody is there to answer',
    );
  return name =>
    shell.confirmWith(
      name,
      'Tasks that are still in the old code will meet new code and data, which may crash the kernel or damage data, and the livepatch can never be removed. Force it?',
    );
}

function renderLoad(result: LoadResult, look: Look): string {
  const { livepatch, attestation, insmodSeconds, transitionSeconds, forced } = result;
  const seconds = (value: number | undefined): string =>
    value === undefined ? 'none' : `${value.toFixed(2)} s`;
  const words = { checked: 'could be loaded now', loaded: 'loaded', already: 'was in force before' } as const;
  return paragraphs([
    fields(look, [
      ['livepatch', livepatch],
      ['result', `${words[result.result]}${forced ? ', by force' : ''}`],
      ...(result.result === 'loaded'
        ? ([
            ['insmod', seconds(insmodSeconds)],
            ['transition', seconds(transitionSeconds)],
          ] as const)
        : []),
      ...(attestation === undefined ? [] : ([['in force', attestation.verdict]] as const)),
    ]),
    section(
      look,
      'functions',
      attestation?.functions.map(({ object, name, state }) => `${object}: ${name}(): ${state}`) ?? [],
    ),
  ]);
}
