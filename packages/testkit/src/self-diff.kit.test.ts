/** A few units against themselves; `npm run selfdiff` takes hundreds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readGround } from '@kstitch/build/build-livepatch';
import { checkCompiler } from '@kstitch/build/compile/compiler';
import { mulberry32 } from '@kstitch/build/verify-kernel';
import { silentContext } from '@kstitch/report/context';
import { testKit, testRelease } from './kit.ts';
import { compareWithItself } from './self-diff.ts';

await testKit();
const context = silentContext();
const ground = await readGround(context, testRelease);
const toolchain = await checkCompiler(context, ground.kernel.kit.workshop, ground.kernel.banner);

// Warnings with line numbers, static variables of macros, functions of several sections, a module.
for (const source of ['kernel/kthread.c', 'kernel/locking/rwsem.c', 'fs/pipe.c', 'drivers/net/dummy.c']) {
  test(`${source} does not differ from itself, nor from itself among other comments`, async () => {
    const unit = ground.database.unit(source);
    assert.ok(unit !== undefined);
    const { outcome, findings, functions } = await compareWithItself(
      context,
      ground,
      toolchain,
      unit,
      mulberry32(1),
    );
    assert.deepEqual([outcome, findings], ['same', []]);
    assert.ok(functions > 5);
  });
}
