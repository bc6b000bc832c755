import { type Command, InvalidArgumentError } from 'commander';
import { finish, isLivepatchName, kernelRelease, type Run } from '../command-line.ts';
import { mindRoot } from '../mind-root.ts';
import { type CommonOptions, lines } from '../run-command.ts';

/** `kstitch uninstall [RELEASE|NAME]` */
export function addUninstall(program: Command, run: Run): void {
  const command = program
    .command('uninstall')
    .summary('have a livepatch no longer loaded at boot')
    .description(
      'Takes away what `kstitch install` put there. What is loaded stays loaded. Exit status: 0 taken away, 3 nothing of that ' +
        'name was installed.',
    )
    .argument('[which]', 'a kernel release or a livepatch; the running kernel unless given', releaseOrName);
  finish(command, ['kstitch uninstall', 'kstitch uninstall 6.1.0-55-cloud-amd64']);
  command.action((which: string | undefined, options: CommonOptions) =>
    run('uninstall', options, async context => {
      const { openManager } = await import('@kstitch/manager/manager');
      const { uninstallLivepatch } = await import('@kstitch/manager/install');
      mindRoot('uninstall');
      const { removed, active } = await uninstallLivepatch(context, openManager(), which);
      return {
        json: { removed, active },
        text: () =>
          lines([
            ...removed.map(
              ({ kernel, livepatch }) =>
                `${livepatch ?? 'a damaged entry'} is no longer installed for ${kernel}`,
            ),
            ...active.map(name => `${name} is still loaded: kstitch unload ${name}`),
          ]),
      };
    }),
  );
}

/** Releases begin with a digit, livepatches of kstitch with its name. */
function releaseOrName(text: string): string {
  if (/^\d/.test(text)) return kernelRelease(text);
  if (isLivepatchName(text)) return text;
  throw new InvalidArgumentError(
    "It must be a kernel release or the name of a livepatch, as 'kstitch status' shows them.",
  );
}
