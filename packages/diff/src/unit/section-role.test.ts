import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Section } from '@kstitch/elf/model';
import { roleOf } from './section-role.ts';

const role = (name: string) => roleOf({ name } as Section);

test('what the compiler names for a function or object, and what lies elsewhere for speed, has no role', () => {
  for (const name of [
    '.text',
    '.text.f',
    '.text.unlikely.f',
    '.ref.text',
    '.data.x',
    '.bss.x',
    '.rodata.x.3',
    '.data.rel.ro.local',
    '.data..read_mostly',
    '.data..Lubsan_data3',
    '.data.once',
    '.data..once',
  ])
    assert.equal(role(name), undefined, name);
});

test('a range that the kernel makes something of is its own role', () => {
  for (const name of [
    '.sched.text',
    '.noinstr.text',
    '.text..refcount',
    '.data..decrypted',
    '__rt_sched_class',
  ])
    assert.equal(role(name), name);
  assert.equal(role('.data..percpu..read_mostly'), role('.data..percpu'));
  assert.notEqual(role('.data..percpu'), role('.data..ro_after_init'));
});
