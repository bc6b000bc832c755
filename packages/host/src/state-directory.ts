import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { KstitchError } from '@kstitch/report/error';

/**
 * @returns whether {@link stateDirectory} is the one that the boots of this machine read, or one that was named: a folder of another
 *   user's own tells nothing about the machine
 */
export function isStateOfMachine(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  userId: number | undefined = process.geteuid?.(),
): boolean {
  return userId === 0 || (environment['KSTITCH_STATE'] ?? '') !== '';
}

/**
 * Where the journal and the livepatches that were loaded are kept: `$KSTITCH_STATE`, else `/var/lib/kstitch` for root and
 * `kstitch` below the state folder of the XDG Base Directory Specification for everybody else.
 *
 * @throws KstitchError - `host-state-relative`
 */
export function stateDirectory(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  userId: number | undefined = process.geteuid?.(),
): string {
  const own = environment['KSTITCH_STATE'];
  if (own !== undefined && own !== '') {
    if (!isAbsolute(own)) {
      throw new KstitchError('host-state-relative', `read KSTITCH_STATE: '${own}' is not an absolute path`);
    }
    return own;
  }
  if (userId === 0) return '/var/lib/kstitch';
  const xdg = environment['XDG_STATE_HOME'];
  const base =
    xdg !== undefined && isAbsolute(xdg) ? xdg : join(environment['HOME'] ?? homedir(), '.local', 'state');
  return join(base, 'kstitch');
}
