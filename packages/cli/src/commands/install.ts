import { basename } from 'node:path';
import type { InstallResult } from '@kstitch/manager/install';
import type { Look } from '@kstitch/report/render-text';
import type { Command } from 'commander';
import { finish, type Run } from '../command-line.ts';
import { findLivepatch } from '../find-livepatch.ts';
import { mindRoot } from '../mind-root.ts';
import { type CommonOptions, fields } from '../run-command.ts';

interface InstallOptions extends CommonOptions {
  readonly replace?: boolean;
}

/** `kstitch install FILE|NAME` */
export function addInstall(program: Command, run: Run): void {
  const command = program
    .command('install')
    .summary('have a livepatch loaded whenever its kernel boots')
    .description(
      'Keeps the livepatch for the boots to come of the kernel that it is for, one for each kernel release; the running kernel ' +
        'is left alone. After a crash that followed its loading, the same command arms it again. Exit status: 0 installed, ' +
        '2 refused, also because another one is installed.',
    )
    .argument(
      '<livepatch>',
      'the module, NAME.ko with NAME.json beside it; or a NAME that was loaded into or installed for the running kernel before',
    )
    .option('--replace', 'take the place of another one that is installed for that kernel');
  finish(command, [
    'kstitch install out/kstitch_ext4_mballoc_1a2b3c4d.ko',
    'kstitch install kstitch_ext4_mballoc_1a2b3c4d --replace',
  ]);
  command.action((livepatch: string, { replace, ...options }: InstallOptions) =>
    run('install', options, async context => {
      const { openManager } = await import('@kstitch/manager/manager');
      const { installLivepatch } = await import('@kstitch/manager/install');
      mindRoot('install');
      const manager = openManager();
      const result = await installLivepatch(context, manager, {
        files: await findLivepatch(manager, 'install', livepatch, context.signal),
        what: `${basename(livepatch, '.ko')}.json`,
        typed: livepatch,
        replace: replace === true,
      });
      return { json: { ...result }, text: look => render(result, manager.kernel.release, look) };
    }),
  );
}

function render(
  { livepatch, kernel, replaced, armed, active }: InstallResult,
  running: string,
  look: Look,
): string {
  return fields(look, [
    ['livepatch', livepatch],
    ['installed for', kernel === running ? kernel : `${kernel}, and '${running}' is running`],
    ...(replaced === undefined ? [] : [['in place of', replaced] as const]),
    ...(armed ? [['guard', 'taken away: the next boot loads it again'] as const] : []),
    ['now', active ? 'active' : kernel === running ? `not active: kstitch load ${livepatch}` : 'not active'],
  ]);
}
