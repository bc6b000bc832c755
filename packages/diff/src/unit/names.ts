/**
 * Names that the compiler and the kernel's macros number anew in every compilation.
 *
 * GCC numbers static locals (`count.12`) and clones (`foo.constprop.0`), `__UNIQUE_ID()` counts, so the numbers say
 * nothing about which object of the other compilation is meant; the rest of the name does.
 */

/**
 * @param name - a symbol's name
 * @returns the name without its numbers: `foo.isra.0.cold` gives `foo.isra.cold`, `__UNIQUE_ID_ddebug512.3` gives
 *   `__UNIQUE_ID_ddebug`
 */
export function baseName(name: string): string {
  const plain = name.includes('.') ? name.replace(/\.\d+/g, '') : name;
  if (!plain.includes('__')) return plain;
  if (/(^|\.)__UNIQUE_ID_/.test(plain)) return plain.replace(/_?\d+$/, '');
  // include/linux/btf_ids.h: __BTF_ID__<kind>__<type>__<counter><line>
  if (plain.startsWith('__BTF_ID__')) return plain.replace(/__\d+$/, '');
  // include/linux/init.h: __initcall__kmod_<module>__<counter>_<line>_<function><level>
  return plain.startsWith('__initcall__') ? plain.replace(/__\d+_\d+_/, '__') : plain;
}

/** @returns whether the compiler numbered the name, as it does for static locals and clones */
export function isNumbered(name: string): boolean {
  return baseName(name) !== name;
}

/**
 * @param name - `foo.cold` or, from older compilers, `foo.cold.3`
 * @returns the function that it is the unlikely part of, or undefined when the name is not of that form
 */
export function coldParentOf(name: string): string | undefined {
  // Every function is asked, and few have one.
  return name.includes('.cold') ? /^(.+)\.cold(\.\d+)?$/.exec(name)?.[1] : undefined;
}
