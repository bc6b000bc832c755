import { spawnSync } from 'node:child_process';

/** For `{ skip: missingNamespaces }` of a test that enters a build root: `false` where that is allowed, else the reason. */
export const missingNamespaces: string | false = (() => {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  return spawnSync('unshare', [...user, '--mount', 'true']).status === 0
    ? false
    : 'this machine allows no mount namespaces';
})();
