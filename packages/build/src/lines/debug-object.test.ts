import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFrames } from './debug-object.ts';

test('parseFrames() reads places outwards and stops where nothing is known', () => {
  const text = [
    'arch_static_branch',
    '/k/arch/x86/include/asm/jump_label.h:27',
    'nft_trace_packet',
    '/k/net/core.c:43 (discriminator 2)',
    'nft_do_chain',
    '??:0',
    '',
  ];
  assert.deepEqual(parseFrames(text.join('\n')), [
    { function: 'arch_static_branch', file: '/k/arch/x86/include/asm/jump_label.h', line: 27 },
    { function: 'nft_trace_packet', file: '/k/net/core.c', line: 43 },
  ]);
  for (const unknown of ['??\n??:0\n', 'f\n/k/f.c:?\n', 'f\n/k/f.c:0\n', ''])
    assert.deepEqual(parseFrames(unknown), []);
});
