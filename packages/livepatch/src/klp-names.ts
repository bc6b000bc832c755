/**
 * The names by which livepatch finds its symbols and relocation sections, as kernel/livepatch/core.c parses them
 * (`.klp.sym.%55[^.].%511[^,],%lu`, `.klp.rela.%55[^.]`); Documentation/livepatch/module-elf-format.rst.
 */

/** A symbol that livepatch resolves by name: where, what, which of that name. */
export interface KlpSymbol {
  /** `vmlinux` or a module's name. */
  readonly object: string;
  readonly name: string;
  /** 1-based rank among the symbols of that name in the object; 0: it has to be the only one. */
  readonly sympos: number;
}

/** @returns `.klp.sym.vmlinux._rs.24,1` */
export function formatKlpSymbol({ object, name, sympos }: KlpSymbol): string {
  return `.klp.sym.${object}.${name},${sympos}`;
}

/** @returns whether the name says that it is a klp symbol, well-formed or not */
export function isKlpSymbolName(name: string): boolean {
  return name.startsWith('.klp.sym.');
}

/** @returns what the kernel reads from a symbol's name, undefined where it would refuse the module */
export function parseKlpSymbol(name: string): KlpSymbol | undefined {
  const match = /^\.klp\.sym\.([^.]{1,55})\.([^,]{1,511}),(\d{1,15})$/.exec(name);
  if (match === null) return undefined;
  const [, object = '', symbol = '', sympos = ''] = match;
  return { object, name: symbol, sympos: Number(sympos) };
}

/**
 * @param gate - object whose load applies the relocations: `vmlinux` or the patched module
 * @param target - name of the section that is relocated
 * @returns `.klp.rela.vmlinux..text`
 */
export function formatKlpRelocationSection(gate: string, target: string): string {
  return `.klp.rela.${gate}.${target}`;
}

/** @returns the object whose load applies the relocations, undefined where the kernel would refuse the module */
export function parseKlpRelocationSection(name: string): string | undefined {
  return /^\.klp\.rela\.([^.]{1,55})\./.exec(name)?.[1];
}
