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
 * possible. Only the second of two that share a name (`set_root` of two units) is numbered.
 */
export class LinkNames {
  readonly #byKey = new Map<string, NamedReference>();
  readonly #taken = new Set<string>();

  /** Keeps a name from being given to a klp symbol: an export, or a symbol that the livepatch itself defines. */
  reserve(name: string): void {
    this.#taken.add(name);
  }

  /**
   * @param gate - the object that the referring unit patches
   * @returns the undefined symbol's name, the same for the same symbol and gate
   */
  nameOf(target: KlpTarget, gate: string): string {
    const key = `${gate} ${target.object} ${target.name} ${target.sympos}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) return known.linkName;
    let linkName = target.name;
    for (let n = 2; this.#taken.has(linkName); n += 1) linkName = `${target.name}.klp${n}`;
    this.#taken.add(linkName);
    this.#byKey.set(key, { ...target, linkName, gate });
    return linkName;
  }

  /** In order of first use. */
  references(): readonly NamedReference[] {
    return [...this.#byKey.values()];
  }
}
