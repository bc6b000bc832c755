import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EntrySizes, type SectionTraits, treatmentOf } from './special-sections.ts';

const sizes: EntrySizes = {
  altInstruction: 12,
  altReplacementLength: 11,
  bug: 12,
  jump: 16,
  exception: 12,
  paravirt: 16,
};

function traits(name: string, more: Partial<SectionTraits> = {}): SectionTraits {
  return { name, allocated: true, executable: false, mergeable: false, strings: false, note: false, ...more };
}

function kindOf(name: string, more: Partial<SectionTraits> = {}): string {
  return treatmentOf(traits(name, more), sizes).kind;
}

test('treatmentOf() tells functions and objects from init memory', () => {
  assert.equal(kindOf('.text.init', { executable: true }), 'code');
  assert.equal(kindOf('.init.text', { executable: true }), 'init');
  assert.equal(kindOf('.sched.text', { executable: true }), 'code');
  assert.equal(kindOf('.data..read_mostly'), 'data');
  assert.equal(kindOf('.bss.once'), 'data');
  assert.equal(kindOf('.initcall4.init'), 'init');
  assert.equal(kindOf('.con_initcall.init'), 'init');
});

test('treatmentOf() knows strings and constants by their flags, not their names', () => {
  assert.equal(kindOf('.rodata.foo.str1.1', { mergeable: true, strings: true }), 'strings');
  assert.equal(kindOf('.rodata.cst16', { mergeable: true }), 'constants');
  assert.equal(kindOf('.rodata.str1.1'), 'data');
});

test('treatmentOf() takes entry sizes from the kernel and refuses a table that the kernel does not have', () => {
  assert.deepEqual(treatmentOf(traits('.altinstructions'), { ...sizes, altInstruction: 14 }), {
    kind: 'entries',
    entrySize: 14,
    key: 0,
  });
  assert.equal(treatmentOf(traits('.parainstructions'), { ...sizes, paravirt: undefined }).kind, 'unknown');
});

test('treatmentOf() knows the requests of kstitch.h', () => {
  assert.deepEqual(treatmentOf(traits('.kstitch.callbacks'), sizes), { kind: 'requests', of: 'callbacks' });
  assert.deepEqual(treatmentOf(traits('.kstitch.states'), sizes), { kind: 'requests', of: 'states' });
  assert.equal(kindOf('.kstitch.other'), 'unknown');
});

test('treatmentOf() keeps exports, drops notes and guesses at nothing', () => {
  assert.equal(kindOf('___ksymtab_gpl+foo'), 'kept');
  assert.equal(kindOf('.note.gnu.property', { note: true }), 'ignored');
  assert.equal(kindOf('.debug_info', { allocated: false }), 'ignored');
  assert.equal(kindOf('.printk_index'), 'ignored');
  assert.equal(kindOf('.eh_frame'), 'ignored');
  assert.equal(kindOf('.kpatch.ignore.functions'), 'ignored');
  assert.equal(kindOf('.fixup', { executable: true }), 'chunks');
  assert.equal(kindOf('__earlycon_table'), 'unknown');
  assert.equal(kindOf('.discard.annotate_insn', { allocated: false }), 'unknown');
});
