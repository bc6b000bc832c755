import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { testKit } from '@kstitch/testkit/kit';
import { openImportIndex } from './kernel/import-index.ts';
import { loadKernel } from './kernel/load-kernel.ts';
import { findShippedUses } from './review-uses.ts';

const kernel = await loadKernel((await testKit()).kit);

test('an export is used by those modules that import it, whoever defines it', async () => {
  const functions = [
    { object: 'vmlinux', name: 'register_netdevice', sympos: undefined },
    { object: 'ip_tunnel', name: 'ip_tunnel_xmit', sympos: undefined },
  ] as const;
  const uses = await findShippedUses(silentContext(), kernel, functions);
  const index = await openImportIndex(silentContext(), kernel);
  for (const one of functions) {
    const found = uses.get(one);
    assert.equal(found?.exported, true, one.name);
    const importers = index.modulesImporting(one.name);
    assert.ok(importers.length > 1, one.name);
    const users = new Set([...found.callers, ...found.holders].map(({ object }) => object));
    users.delete(one.object);
    // dummy and ifb call it while they are loaded, in code that is gone then.
    const others = importers.filter(name => name !== 'dummy' && name !== 'ifb');
    assert.deepEqual([...users].toSorted(), others.toSorted(), one.name);
  }
});
