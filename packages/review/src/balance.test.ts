import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBalance } from './balance.ts';
import { readSources } from './source-text.ts';

function balanceOf(before: string, after: string): string[] {
  const body = (text: string) => `static int f(struct s *p)\n{\n${text}\treturn 0;\n}\n`;
  const sources = readSources([{ path: 'a.c', before: body(before), after: body(after), blocks: [] }]);
  return readBalance(sources).map(
    ({ function: owner, name, role, before: b, after: a, hint }) =>
      `${owner} ${name} ${role} ${b}→${a}${hint === '' ? '' : ' !'}`,
  );
}

test('a lock that is taken and not given back is something to look at', () => {
  assert.deepEqual(balanceOf('', '\tspin_lock_irqsave(&p->lock, flags);\n'), [
    'f spin_lock_irqsave takes 0→1 !',
  ]);
  assert.deepEqual(balanceOf('', '\tspin_lock(&p->lock);\n\tspin_unlock(&p->lock);\n'), [
    'f spin_lock takes 0→1',
    'f spin_unlock gives back 0→1',
  ]);
  assert.deepEqual(balanceOf('\tmutex_lock(&m);\n\tmutex_unlock(&m);\n', '\tmutex_lock(&m);\n'), [
    'f mutex_unlock gives back 1→0 !',
  ]);
});

test('the families by name: read and write sides, references, allocations', () => {
  const pairs = [
    ['down_read', 'up_read'],
    ['down_write_killable', 'up_write'],
    ['read_lock_bh', 'read_unlock_bh'],
    ['raw_spin_lock_irq', 'raw_spin_unlock_irq'],
    ['rcu_read_lock', 'rcu_read_unlock'],
    ['srcu_read_lock', 'srcu_read_unlock'],
    ['write_seqlock', 'write_sequnlock'],
    ['preempt_disable', 'preempt_enable'],
    ['local_irq_save', 'local_irq_restore'],
    ['kref_get', 'kref_put'],
    ['refcount_inc', 'refcount_dec_and_test'],
    ['get_page', 'put_page'],
    ['folio_get', 'folio_put'],
    ['sock_hold', 'sock_put'],
    ['dev_hold', 'dev_put'],
    ['kzalloc', 'kfree'],
    ['kmalloc_array', 'kfree'],
    ['kvmalloc', 'kvfree'],
    ['kmem_cache_alloc', 'kmem_cache_free'],
    ['vmalloc', 'vfree'],
    ['alloc_netdev', 'free_netdev'],
    ['lock_page', 'unlock_page'],
    ['folio_lock', 'folio_unlock'],
  ] as const;
  for (const [takes, givesBack] of pairs) {
    assert.deepEqual(
      balanceOf('', `\t${takes}(p);\n\t${givesBack}(p);\n`),
      [`f ${takes} takes 0→1`, `f ${givesBack} gives back 0→1`],
      `${takes} and ${givesBack}`,
    );
    assert.deepEqual(balanceOf('', `\t${givesBack}(p);\n`), [`f ${givesBack} gives back 0→1 !`]);
  }
});

test('comments, texts and values are no calls of the kind', () => {
  assert.deepEqual(
    balanceOf(
      '',
      '\t/* spin_lock(&p->lock) */\n\tpr_info("kfree(%p)", p);\n\tget_user(a, p);\n\tput_unaligned(1, p);\n',
    ),
    [],
  );
});

test('what moves within a function is no change', () => {
  assert.deepEqual(
    balanceOf(
      '\tmutex_lock(&m);\n\tg();\n\tmutex_unlock(&m);\n',
      '\tg();\n\tmutex_lock(&m);\n\tmutex_unlock(&m);\n',
    ),
    [],
  );
});
