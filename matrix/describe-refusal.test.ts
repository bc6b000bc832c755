import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decidingLines } from './describe-refusal.ts';

test('an option that is off, or that the kernel does not know, has a line as well', () => {
  const config = [
    'CONFIG_LIVEPATCH_NOT=y',
    '# CONFIG_LIVEPATCH is not set',
    'CONFIG_MODULES=y',
    'CONFIG_PREEMPT_RT=y',
  ].join('\n');
  assert.deepEqual(decidingLines(config), [
    '# CONFIG_LIVEPATCH is not set',
    '# CONFIG_DYNAMIC_FTRACE_WITH_REGS is not there',
    '# CONFIG_HAVE_RELIABLE_STACKTRACE is not there',
    '# CONFIG_KALLSYMS_ALL is not there',
    'CONFIG_MODULES=y',
    'CONFIG_PREEMPT_RT=y',
  ]);
});
