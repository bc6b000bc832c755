import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

test('the service stays away from a crash kernel, lets a load be taken back, and calls that no failure', () => {
  const lines = readFileSync(join(import.meta.dirname, '../system/kstitch.service'), 'utf8').split('\n');
  for (const line of [
    'ConditionPathExists=!/proc/vmcore',
    'KillMode=mixed',
    'SuccessExitStatus=130',
    'ExecStart=/usr/bin/kstitch boot',
  ])
    assert.ok(lines.includes(line), line);
});
