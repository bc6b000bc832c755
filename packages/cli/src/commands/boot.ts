import type { BootResult } from '@kstitch/manager/boot';
import type { Look } from '@kstitch/report/render-text';
import type { Command } from 'commander';
import { finish, type Run } from '../command-line.ts';
import { mindRoot } from '../mind-root.ts';
import { type CommonOptions, fields } from '../run-command.ts';

/** `kstitch boot` */
export function addBoot(program: Command, run: Run): void {
  const command = program
    .command('boot')
    .summary('load what is installed, as kstitch.service does at boot')
    .description(
      'Loads the livepatch that is installed for the running kernel, as `load` does, and ends when the machine has lived with ' +
        'it for a while. When its transition does not end, it is tried once more later. Does nothing where nothing is ' +
        'installed, where /etc/kstitch.off is there, or the kernel was booted with kstitch=off. Exit status: as of `load`; ' +
        '2 also when it is left out after a crash.',
    );
  finish(command, ['kstitch boot']);
  command.action((options: CommonOptions) =>
    run('boot', options, async context => {
      mindRoot('boot');
      const { openManager } = await import('@kstitch/manager/manager');
      const { bootLivepatch } = await import('@kstitch/manager/boot');
      const manager = openManager();
      const result = await bootLivepatch(context, manager);
      return {
        json: { kernel: manager.kernel.release, ...result },
        text: look => render(result, manager.kernel.release, look),
      };
    }),
  );
}

function render({ result, livepatch, switchedOff, load }: BootResult, release: string, look: Look): string {
  const words = {
    nothing: 'nothing is installed for it',
    'switched off': `nothing is loaded: ${switchedOff ?? ''}`,
    settled: load?.result === 'already' ? 'was in force before, and has settled' : 'loaded, and has settled',
  } as const;
  return fields(look, [
    ['kernel', release],
    ...(livepatch === undefined ? [] : [['livepatch', livepatch] as const]),
    ['result', words[result]],
    ...(load?.attestation === undefined ? [] : [['in force', load.attestation.verdict] as const]),
  ]);
}
