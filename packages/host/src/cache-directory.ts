import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { KstitchError } from '@kstitch/report/error';

/**
 * Where kernel kits, packages and compiled units are kept: `$KSTITCH_CACHE`, else `kstitch` below the cache folder of
 * the XDG Base Directory Specification (which says to ignore a relative `$XDG_CACHE_HOME`).
 *
 * @throws KstitchError - `host-cache-relative`
 */
export function cacheDirectory(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string {
  const own = environment['KSTITCH_CACHE'];
  if (own !== undefined && own !== '') {
    if (!isAbsolute(own)) {
      throw new KstitchError('host-cache-relative', `read KSTITCH_CACHE: '${own}' is not an absolute path`);
    }
    return own;
  }
  const xdg = environment['XDG_CACHE_HOME'];
  const base = xdg !== undefined && isAbsolute(xdg) ? xdg : join(environment['HOME'] ?? homedir(), '.cache');
  return join(base, 'kstitch');
}
