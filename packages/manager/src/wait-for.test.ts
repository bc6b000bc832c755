import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentContext } from '@kstitch/report/context';
import { waitFor } from './wait-for.ts';

const hour = 3600 * 1000;

test('a clock that is set forward or back while one waits changes nothing', async t => {
  for (const jump of [hour, -hour]) {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const began = performance.now();
    const waited = waitFor(silentContext(), 'wait', 1.1);
    t.mock.timers.setTime(Date.now() + jump);
    await waited;
    const seconds = (performance.now() - began) / 1000;
    assert.ok(seconds >= 1.099 && seconds < 10, `${jump}: ${seconds}`);
    t.mock.timers.reset();
  }
});

test('what is over is not waited for', async () => {
  const stopped = silentContext(AbortSignal.abort());
  await waitFor(stopped, 'wait', 0);
  await waitFor(stopped, 'wait', -1);
  await assert.rejects(waitFor(stopped, 'wait', 1), { name: 'AbortError' });
});
