import type { ReloadPlan } from '@kstitch/manager/plan-reload';
import { KstitchError } from '@kstitch/report/error';
import type { Command } from 'commander';
import { finish, graceDefault, kernelModule, type Run, wholeNumber } from '../command-line.ts';
import { mindRoot } from '../mind-root.ts';
import { type CommonOptions, fields, type Shell } from '../run-command.ts';

interface ReloadOptions extends CommonOptions {
  readonly timeout: number;
  readonly grace?: number;
  readonly yes?: boolean;
}

/** `kstitch reload-target MODULE` */
export function addReloadTarget(program: Command, run: Run): void {
  const command = program
    .command('reload-target')
    .summary('load a patched module again (before Linux 6.3)')
    .description(
      'Before Linux 6.3 a patched module cannot be loaded again while its livepatch is active. This takes the livepatch out of ' +
        'force, loads the module again, and puts the livepatch back; meanwhile its fixes are not in force. When it was ' +
        'killed, the same command goes on from there.',
    )
    .argument('<module>', "the module, as the kernel names it: 'nf_tables'", kernelModule)
    .option('-y, --yes', 'take the fixes out of force without asking')
    .option('--timeout <seconds>', 'time for all tasks to move, each way', wholeNumber(1, 86_400), 60)
    .option(
      '--grace <seconds>',
      `time between disabling the livepatch and removing it (default: ${graceDefault})`,
      wholeNumber(0, 86_400),
    );
  finish(command, ['kstitch reload-target nf_tables --yes']);
  command.action((module: string, { timeout, grace, yes, ...options }: ReloadOptions) =>
    run('reload-target', options, async (context, shell) => {
      const { openManager } = await import('@kstitch/manager/manager');
      const { reloadTarget } = await import('@kstitch/manager/reload-target');
      const { readConfig } = await import('@kstitch/manager/config');
      mindRoot('reload-target');
      const manager = openManager();
      const result = await reloadTarget(context, manager, {
        target: module.replaceAll('-', '_'),
        timeoutSeconds: timeout,
        graceSeconds: grace ?? (await readConfig(manager.machine)).grace,
        confirm: async plan => {
          if (yes !== true) return await confirm(plan, shell);
          context.progress.note(tell(plan));
          return true;
        },
      });
      const { target, livepatch, fixes, inactiveSeconds, attestation } = result;
      return {
        json: { ...result },
        text: look =>
          fields(look, [
            ['module', `${target}: loaded again`],
            ['livepatch', `${livepatch}: ${attestation?.verdict ?? 'active'}`],
            ['out of force', `${fixes.join(', ')}, for ${inactiveSeconds.toFixed(1)} s`],
          ]),
      };
    }),
  );
}

function tell({ target, livepatch, fixes, leastSeconds, unfinished }: ReloadPlan): string {
  const what = `'${livepatch}' (${fixes.join(', ')})`;
  return unfinished === undefined
    ? `while module '${target}' is loaded again, ${what} is not in force, for ${leastSeconds} s at least`
    : `an earlier run did not end: ${what} is not in force since ${new Date(unfinished.since).toISOString()}; it is put back`;
}

async function confirm(plan: ReloadPlan, shell: Shell): Promise<boolean> {
  if (shell.interactive) return await shell.ask(`${tell(plan)}. Go on?`);
  throw new KstitchError('reload-declined', `reload '${plan.target}': nobody is there to answer`, {
    notes: [tell(plan)],
  });
}
