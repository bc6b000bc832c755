import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Settings by which a kernel keeps normal users from making namespaces, and the value of each that does. */
const settings = [
  // Debian's and Ubuntu's own, long before the others.
  { path: 'kernel/unprivileged_userns_clone', forbids: '0', remedy: 'kernel.unprivileged_userns_clone=1' },
  { path: 'user/max_user_namespaces', forbids: '0', remedy: 'user.max_user_namespaces=15000' },
  // Ubuntu since 23.10.
  {
    path: 'kernel/apparmor_restrict_unprivileged_userns',
    forbids: '1',
    remedy: 'kernel.apparmor_restrict_unprivileged_userns=0',
  },
] as const;
const mountSetting = {
  path: 'user/max_mnt_namespaces',
  forbids: '0',
  remedy: 'user.max_mnt_namespaces=15000',
};

/**
 * @param user - whether a normal user wants to enter the root; root needs no user namespace
 * @param root - below which /proc/sys is read: tests have their own
 * @returns what to do for a build root to be entered on this machine; undefined when no setting speaks against it
 */
export function namespaceRemedy(user: boolean, root = '/'): string | undefined {
  const value = (path: string) => {
    try {
      return readFileSync(join(root, 'proc/sys', path), 'latin1').trim();
    } catch {
      // A kernel without the setting does not forbid it.
      return undefined;
    }
  };
  const forbidding = [...(user ? settings : []), mountSetting].filter(
    ({ path, forbids }) => value(path) === forbids,
  );
  if (forbidding.length === 0) return undefined;
  return `as root: sysctl -w ${forbidding.map(({ remedy }) => remedy).join(' ')}`;
}
