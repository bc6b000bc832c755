/**
 * What the patch takes and gives back: calls by name, counted in the text of each function before and after. Macros are
 * counted as they are written; what they hide, and what a callee does, is not looked into.
 */
import type { SourceText } from './source-text.ts';

/** A call that one side has more often than the other. */
export interface CallDelta {
  readonly file: string;
  readonly function: string;
  /** `spin_lock_irqsave` */
  readonly name: string;
  readonly role: 'takes' | 'gives back';
  /** What belongs together: `spin_lock`. */
  readonly family: string;
  readonly before: number;
  readonly after: number;
  /** Something to look at; empty where both sides of the family changed alike. */
  readonly hint: string;
}

interface Pairing {
  readonly family: string;
  readonly role: CallDelta['role'];
}

/** What takes and what gives back, by name; `$1` stands for what both names share. The first that fits counts. */
const pairs: readonly (readonly [takes: RegExp, givesBack: RegExp, family: string])[] = [
  [/^(raw_spin|spin)_(?:lock|trylock)(?:_\w+)?$/, /^(raw_spin|spin)_unlock(?:_\w+)?$/, '$1_lock'],
  [/^(mutex|rt_mutex|ww_mutex)_(?:lock|trylock)(?:_\w+)?$/, /^(mutex|rt_mutex|ww_mutex)_unlock$/, '$1_lock'],
  [/^(read|write)_(?:lock|trylock)(?:_\w+)?$/, /^(read|write)_unlock(?:_\w+)?$/, '$1_lock'],
  [/^down_(read|write)(?:_\w+)?$/, /^up_(read|write)(?:_\w+)?$/, 'rwsem ($1)'],
  [/^down(?:_\w+)?$/, /^up$/, 'semaphore'],
  [/^(rcu|srcu)_read_lock(?:_\w+)?$/, /^(rcu|srcu)_read_unlock(?:_\w+)?$/, '$1_read_lock'],
  [
    /^(write|read)_seq(?:lock|count_begin|begin)(?:_\w+)?$/,
    /^(write|read)_seq(?:unlock|count_end|retry|count_retry)(?:_\w+)?$/,
    '$1_seqlock',
  ],
  [/^local_irq_(?:save|disable)$/, /^local_irq_(?:restore|enable)$/, 'local_irq'],
  [
    /^(local_bh|preempt|migrate|pagefault)_disable$/,
    /^(local_bh|preempt|migrate|pagefault)_enable(?:_\w+)?$/,
    '$1_disable',
  ],
  [/^kref_(?:init|get)(?:_\w+)?$/, /^kref_put(?:_\w+)?$/, 'kref'],
  [/^refcount_(?:inc|add|set)(?:_\w+)?$/, /^refcount_(?:dec|sub)(?:_\w+)?$/, 'refcount'],
  [
    /^kv?(?:[mzc]|re)alloc\w*$|^k(?:mem|str)n?dup\w*$|^kv?asprintf$/,
    /^kv?free(?:_\w+)?$|^kfree_\w+$/,
    'kmalloc',
  ],
  [/^v[mz]alloc\w*$/, /^vfree(?:_\w+)?$/, 'vmalloc'],
  [/^kmem_cache_(?:z?alloc)\w*$/, /^kmem_cache_free\w*$/, 'kmem_cache'],
  [/^(?:__)?alloc_(\w+)$/, /^(?:__)?free_(\w+)$/, 'alloc_$1'],
  [/^(?:__)?(\w+)_alloc$/, /^(?:__)?(\w+)_free$/, '$1_alloc'],
  [/^(?:__)?get_(\w+)$/, /^(?:__)?put_(\w+)$/, 'get_$1'],
  [/^(?:__)?(\w+)_(?:get|tryget|get_unless_zero|get_not_zero)$/, /^(?:__)?(\w+)_put$/, '$1_get'],
  [/^(?:__)?(\w+)_hold$/, /^(?:__)?(\w+)_put$/, '$1_get'],
  [/^(?:try)?lock_(\w+)$/, /^unlock_(\w+)$/, 'lock_$1'],
  [/^(?:__)?(\w+)_(?:lock|trylock)(?:_\w+)?$/, /^(?:__)?(\w+)_unlock(?:_\w+)?$/, '$1_lock'],
];

/** `get_` and `put_` of values: nothing is taken. */
const values =
  /^(?:get|put)_(?:user|unaligned\w*|cpu_var|random\w*|option|order|seconds|jiffies\w*|current\w*|cycles)$|^(?:lock|unlock)_is_\w+$|_(?:is|assert)_\w*$/;

function pairingOf(name: string): Pairing | undefined {
  if (values.test(name)) return undefined;
  for (const [takes, givesBack, family] of pairs) {
    for (const [pattern, role] of [
      [takes, 'takes'],
      [givesBack, 'gives back'],
    ] as const) {
      const match = pattern.exec(name);
      if (match !== null) return { family: family.replace('$1', match[1] ?? ''), role };
    }
  }
  return undefined;
}

/** @param changed - both sides of the changed files */
export function readBalance(changed: readonly SourceText[]): readonly CallDelta[] {
  const deltas: CallDelta[] = [];
  for (const [file, texts] of Map.groupBy(changed, text => text.path)) {
    const before = countCalls(texts.find(text => text.side === 'before'));
    const after = countCalls(texts.find(text => text.side === 'after'));
    for (const name of new Set([...before.keys(), ...after.keys()])) {
      deltas.push(...compareCalls(file, name, before.get(name), after.get(name)));
    }
  }
  return deltas;
}

type Calls = ReadonlyMap<string, number>;

/** @returns what each function calls and how often, by the function's name */
function countCalls(text: SourceText | undefined): ReadonlyMap<string, Calls> {
  const functions = new Map<string, Calls>();
  for (const { names, from, to } of text?.functions ?? []) {
    const calls = new Map<string, number>();
    const body = text?.masked.slice(from - 1, to).join('') ?? '';
    const inner = body.slice(body.indexOf('{'));
    for (const [, name = ''] of inner.matchAll(/\b([A-Za-z_]\w*)\s*\(/g))
      calls.set(name, (calls.get(name) ?? 0) + 1);
    // guard(mutex)(&lock) and scoped_guard(mutex, &lock) give back by themselves.
    functions.set(names[0] ?? '', calls);
  }
  return functions;
}

function compareCalls(file: string, name: string, before: Calls = new Map(), after: Calls = new Map()) {
  const deltas = [...new Set([...before.keys(), ...after.keys()])].flatMap(call => {
    const pairing = pairingOf(call);
    const counts = { before: before.get(call) ?? 0, after: after.get(call) ?? 0 };
    return pairing === undefined || counts.before === counts.after
      ? []
      : [{ file, function: name, name: call, ...pairing, ...counts }];
  });
  return deltas.map((delta): CallDelta => ({ ...delta, hint: hintOf(delta, deltas) }));
}

function hintOf(delta: Omit<CallDelta, 'hint'>, all: readonly Omit<CallDelta, 'hint'>[]): string {
  const family = all.filter(other => other.family === delta.family);
  const net = (role: CallDelta['role']): number =>
    family.filter(one => one.role === role).reduce((sum, one) => sum + one.after - one.before, 0);
  if (net('takes') === net('gives back')) return '';
  const change = delta.after - delta.before;
  const verb = change > 0 ? 'adds' : 'removes';
  const other = delta.role === 'takes' ? 'gives back' : 'takes';
  if (net(other) !== 0) return '';
  const missing = delta.role === 'takes' ? 'gives it back' : 'takes it';
  return `${verb} ${delta.name}() and no call that ${missing}: look at every path`;
}
