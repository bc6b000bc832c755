/** Upstream's selftests of livepatch on stock kernels: as they are, and with kstitch in place of insmod and rmmod. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ibtRelease, testRelease } from '@kstitch/testkit/kit';
import { missingProgram, runSelftests } from '@kstitch/testkit/livepatch-selftests';

const folder = mkdtempSync(join(tmpdir(), 'kstitch-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const scripts = ['callbacks', 'ftrace', 'livepatch', 'shadow-vars', 'state', 'syscall', 'sysfs'];

/** Before 6.11 sysfs does not say whether a livepatch replaces others. */
const noReplace = { sysfs: /\/replace/ };
/** kstitch refuses what the kernel would refuse, so that the kernel's words, which the script expects, are not there. */
const refusedFirst = { ftrace: /^load test_klp_livepatch: load-ftrace-off$/m };

for (const [release, loader, failing] of [
  [testRelease, 'insmod', noReplace],
  [ibtRelease, 'insmod', {}],
  [testRelease, 'kstitch', { ...noReplace, ...refusedFirst }],
  [ibtRelease, 'kstitch', refusedFirst],
] as const) {
  test(`${release}, loaded by ${loader}`, { skip: missingProgram }, async t => {
    const directory = mkdtempSync(join(folder, 'run-'));
    const { results, kstitch, log } = await runSelftests(directory, release, loader);
    for (const { script, status, lines } of results)
      t.diagnostic(`${script}: status ${status}, ${lines.filter(line => line.endsWith(' ok')).length} ok`);
    assert.deepEqual(
      results.map(({ script }) => script),
      scripts.map(name => `test-${name}.sh`),
    );
    const expected: Readonly<Record<string, RegExp | undefined>> = failing;
    for (const { script, status, lines } of results) {
      const why = expected[script.slice('test-'.length, -'.sh'.length)];
      const said = [...lines, ...kstitch].join('\n');
      assert.equal(status, why === undefined ? 0 : 1, `${script}\n${said}\n${log}`);
      assert.match(said, why ?? /^TEST: .* ok$/m);
    }
    if (loader === 'insmod') return;
    const count = (pattern: RegExp) => kstitch.filter(line => pattern.test(line)).length;
    t.diagnostic(`kstitch: ${count(/^load/)} loads, ${count(/^unload/)} unloads`);
    assert.ok(count(/: attested$/) >= 15, kstitch.join('\n'));
    assert.equal(count(/^unload .*: removed$/), count(/^unload/), kstitch.join('\n'));
  });
}
