/**
 * Names that say less than they seem to: the compiler numbers static locals and clones afresh in every compilation, and
 * the kernel's macros number what they define.
 */

/** @returns what stays the same from one compilation to the next: `count.12` and `count.3` are both `count` */
export function unnumbered(name: string): string {
  const parts = name.split('.').filter((part, index) => index === 0 || !/^\d+$/.test(part));
  const plain = parts.join('.');
  // include/linux/btf_ids.h: __BTF_ID__struct__nf_conn__760189, from __COUNTER__ and __LINE__.
  return /^__(?:UNIQUE_ID_|BTF_ID__)/.test(plain) ? plain.replace(/\d+$/, '') : plain;
}

/** @returns the function that `name` is the unlikely part of */
export function parentOfColdPart(name: string): string | undefined {
  const [parent, rest] = splitAtLast(unnumbered(name) === name ? name : name.replace(/\.\d+$/, ''));
  return rest === 'cold' ? parent : undefined;
}

function splitAtLast(name: string): readonly [string, string] {
  const dot = name.lastIndexOf('.');
  return dot < 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot + 1)];
}

/**
 * Objects that macros (WARN_ONCE, printk_ratelimited, pr_debug, __func__ …) and the compiler make for one place in the
 * code. A patched function has its own, so that nobody else can miss the original.
 */
const perPlace: ReadonlySet<string> = new Set([
  'CSWTCH',
  'descriptor',
  '__already_done',
  '__already_printed',
  '__compound_literal',
  '_entry',
  '_entry_ptr',
  '__func__',
  '__FUNCTION__',
  '__key',
  '__PRETTY_FUNCTION__',
  '__print_once',
  '_rs',
  '__UNIQUE_ID_ddebug',
  '__warned',
]);

/** @returns whether a macro or the compiler made the object for one place in the code */
export function isMadeForOnePlace(name: string): boolean {
  const plain = unnumbered(name);
  return plain !== name && perPlace.has(plain);
}
