import type { KernelReference } from './references.ts';

export type KlpTarget = Extract<KernelReference, { kind: 'klp' }>;

/** A klp symbol and the undefined symbol that stands for it until post-link. */
export interface NamedReference extends KlpTarget {
  readonly linkName: string;
  /** The object whose load applies relocations against it. */
  readonly gate: string;
}

/**
 * Names for the undefined symbols of a livepatch, across all of its units.
 *
 * objtool knows static calls and functions that do not return by their names, so a symbol keeps its own wherever
 * possible. The second of two that share a name (`set_root` of two units) is numbered, and what shares its name with an export.
 */
export class LinkNames {
  readonly #byKey = new Map<string, NamedReference>();
  /** What every module defines itself: `__this_module` of the patched module is another than ours. */
  readonly #taken = new Set(['__this_module', 'init_module', 'cleanup_module']);
  readonly #isExported: (name: string) => boolean;
  readonly #peers = new Map<string, string>();

  /**
   * @param isExported - whether the kernel or a module exports a name: modpost would bind a weak symbol of that name, and make
   *   the livepatch depend on the module that it is to patch
   */
  constructor(isExported: (name: string) => boolean) {
    this.#isExported = isExported;
  }

  /**
   * @param gate - the object that the referring unit patches
   * @returns the undefined symbol's name, the same for the same symbol and gate
   */
  nameOf(target: KlpTarget, gate: string): string {
    const key = `${gate} ${target.object} ${target.name} ${target.sympos}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) return known.linkName;
    // A static call of a module goes through its trampoline: objtool, which knows trampolines by name, would else make a
    // site of it that the kernel reads before klp relocations of modules are applied.
    const ownName =
      target.object !== 'vmlinux' && target.name.startsWith('__SCT__') ? `klp${target.name}` : target.name;
    let linkName = ownName;
    for (let n = 2; this.#taken.has(linkName) || this.#isExported(linkName); n += 1)
      linkName = `${ownName}.klp${n}`;
    this.#taken.add(linkName);
    this.#byKey.set(key, { ...target, linkName, gate });
    return linkName;
  }

  /**
   * @param name - a new global of one unit that others refer to
   * @param object - that the units are part of
   * @returns its name between the extracted objects; never one that the kernel or the livepatch gives to anything else
   */
  peerName(name: string, object: string): string {
    const key = `${object} ${name}`;
    const linkName = this.#peers.get(key) ?? `kstitch_peer_${this.#peers.size}`;
    this.#peers.set(key, linkName);
    return linkName;
  }

  /** In order of first use. */
  references(): readonly NamedReference[] {
    return [...this.#byKey.values()];
  }
}
