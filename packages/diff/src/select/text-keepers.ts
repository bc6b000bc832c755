/**
 * Who may keep a text that it is handed. request_irq() puts the pointer into /proc/interrupts and request_region() into
 * /proc/ioports: when the livepatch that brought the text is removed, the next reader reads memory that is no more.
 *
 * Nobody can tell from outside what a function does with a pointer, so those are named that are known to be done with it
 * when they return. Whatever else gets a text keeps the livepatch loaded.
 */
import type { Atom, Reference, Target } from '../unit/atom.ts';

/** What prints or compares, by a word of its name: `_dev_err`, `__ext4_warning_inode`, `seq_printf`, `__warn_printk`. */
const printers =
  /(?:^|_)(?:v?s?c?n?printf|printk|puts|emit|err|error|warn|warning|info|dbg|debug|msg|notice|emerg|alert|crit|log|panic|ratelimit|format)(?:_|\d|$)/;

/** `seq_write`, `strcmp`, `__memcpy`, `sscanf`, `kstrtoint`, `kasprintf`, `match_string`. */
const readers =
  /^_*(?:seq_|str|mem|vs?scanf|sscanf|kstrto|kstrdup$|kmemdup|kvasprintf|kasprintf|match_|sysfs_streq)/;

const others: ReadonlySet<string> = new Set([
  // Keep name and key under lockdep only, which no kernel of Debian has.
  '__init_rwsem',
  '__init_swait_queue_head',
  '__init_waitqueue_head',
  '__mutex_init',
  'init_timer_key',
  '__raw_spin_lock_init',
  // Of a user's buffer, or with a copy of the text.
  '_copy_to_user',
  'alloc_workqueue_attrs',
  'fortify_panic',
  'kthread_create_on_node',
  'memparse',
  'usercopy_abort',
  '__might_sleep',
  '__might_resched',
  '__request_module',
  'simple_read_from_buffer',
]);

/**
 * @param reference - of `atom`, to a text
 * @param isBranch - whether a reference is the target of a call or jump
 * @returns the function that is called next; undefined when none is
 */
export function nextCallee(
  atom: Atom,
  reference: Reference,
  isBranch: (reference: Reference) => boolean,
): string | undefined {
  const next = atom.references.find(other => other.offset > reference.offset && isBranch(other));
  return next && nameOf(next.target);
}

/** @param callee - as {@link nextCallee} names it */
export function mayKeepText(callee: string): boolean {
  return !printers.test(callee) && !readers.test(callee) && !others.has(callee);
}

/** Without what the compiler puts behind it: `f` for `f.constprop.0`. */
function nameOf(target: Target): string {
  if (target.kind === 'external') return target.name;
  const dot = target.atom.name.indexOf('.');
  return dot > 0 ? target.atom.name.slice(0, dot) : target.atom.name;
}
