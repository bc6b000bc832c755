import { runCommand } from '@kstitch/cli/run-command';
import { ensureTools } from '@kstitch/cli/system-packages';

/**
 * Installs the system packages that building and proving need, saying which and why: without asking in CI and with `--yes`, else after
 * asking. Part of `npm test`, so that a fresh clone on a fresh machine needs nothing else.
 */
const yes = process.argv.includes('--yes') || process.argv.includes('-y') || Boolean(process.env['CI']);

process.exitCode = await runCommand('prepare', {}, async (context, shell) => {
  await ensureTools(context, shell, ['build', 'vm', 'test'], { yes });
  return { json: {}, text: () => '' };
});
