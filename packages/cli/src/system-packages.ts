import type { Purpose } from '@kstitch/host/debian-packages';
import type { Context } from '@kstitch/report/context';
import type { Command } from 'commander';
import type { Shell } from './run-command.ts';

export interface PackageOptions {
  readonly yes?: boolean;
}

/** Gives `command` the option that allows the installation of system packages. */
export function withPackageOptions(command: Command): Command {
  return command.option('-y, --yes', 'install missing system packages without asking');
}

/**
 * Makes sure that the tools for `purposes` are there: installs what is missing after asking, or at once with `--yes`.
 *
 * @throws KstitchError - with the exact apt line, when neither is possible
 */
export async function ensureTools(
  context: Context,
  shell: Shell,
  purposes: readonly Purpose[],
  options: PackageOptions,
): Promise<void> {
  const { ensurePackages } = await import('@kstitch/host/system-packages');
  await ensurePackages(context, purposes, {
    assumeYes: options.yes === true,
    interactive: shell.interactive,
    ask: question => shell.ask(question),
  });
}
