import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { namespaceRemedy } from './namespace-remedy.ts';

test('the remedy names the setting that forbids it, and no other', t => {
  const root = mkdtempSync(join(tmpdir(), 'kstitch-remedy-'));
  t.after(() => rmSync(root, { recursive: true }));
  const machine = (values: Readonly<Record<string, string>>, user = true) => {
    rmSync(join(root, 'proc'), { recursive: true, force: true });
    for (const [path, value] of Object.entries(values)) {
      mkdirSync(dirname(join(root, 'proc/sys', path)), { recursive: true });
      writeFileSync(join(root, 'proc/sys', path), `${value}\n`);
    }
    return namespaceRemedy(user, root);
  };
  const allowed = {
    'kernel/unprivileged_userns_clone': '1',
    'user/max_user_namespaces': '15000',
    'user/max_mnt_namespaces': '15000',
    'kernel/apparmor_restrict_unprivileged_userns': '0',
  };
  assert.equal(machine(allowed), undefined);
  assert.equal(machine({}), undefined);
  for (const [path, value, remedy] of [
    ['kernel/unprivileged_userns_clone', '0', 'kernel.unprivileged_userns_clone=1'],
    ['user/max_user_namespaces', '0', 'user.max_user_namespaces=15000'],
    ['kernel/apparmor_restrict_unprivileged_userns', '1', 'kernel.apparmor_restrict_unprivileged_userns=0'],
  ] as const) {
    assert.equal(machine({ ...allowed, [path]: value }), `as root: sysctl -w ${remedy}`);
    // Root makes no user namespace.
    assert.equal(machine({ ...allowed, [path]: value }, false), undefined);
  }
  assert.equal(
    machine({ 'kernel/unprivileged_userns_clone': '0', 'user/max_mnt_namespaces': '0' }),
    'as root: sysctl -w kernel.unprivileged_userns_clone=1 user.max_mnt_namespaces=15000',
  );
});
