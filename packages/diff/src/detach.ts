/**
 * Detach: a selection without the objects that it was made from.
 *
 * A selection of one function hangs on to its unit, before and after, with every atom and reference of it: some 10 MB. A
 * patched header gives a hundred of them. What extraction needs is the selected atoms, their bytes, and of other atoms no
 * more than where references to them begin.
 */
import type { Section } from '@kstitch/elf/model';
import type { Resolution, Selection } from './select/selection.ts';
import type { Atom, Entry, Reference } from './unit/atom.ts';

/** @returns a selection that says the same and holds copies of what it selects, nothing else */
export function detach(selection: Selection): Selection {
  return new Detacher(selection).run();
}

interface DetachedAtom extends Atom {
  readonly references: Reference[];
}

class Detacher {
  readonly #selection: Selection;
  readonly #sections = new Map<Section, Section>();
  readonly #atoms = new Map<Atom, DetachedAtom>();
  readonly #entries = new Map<Atom, readonly Entry[]>();
  readonly #resolutions = new Map<Reference, Resolution>();

  constructor(selection: Selection) {
    this.#selection = selection;
  }

  run(): Selection {
    const selection = this.#selection;
    for (const atom of selection.atoms) {
      const code = selection.codeOf(atom);
      const copy = this.#atom(atom, new Uint8Array(code.bytes));
      copy.references.push(...code.references.map(reference => this.#reference(reference)));
      const entries = selection.entriesOf(atom).map(entry => ({
        ...entry,
        section: this.#section(entry.section),
        bytes: new Uint8Array(entry.bytes),
        references: entry.references.map(reference => this.#reference(reference)),
      }));
      this.#entries.set(copy, entries);
    }
    const atoms = selection.atoms.map(atom => this.#atom(atom));
    return {
      ...selection,
      unit: {
        ...selection.unit,
        atoms,
        symbolNames: new Set(),
        namedByUnknown: new Map(),
        specialStatics: new Set(),
        unreached: [],
        placeless: new Map(),
        shortBranches: new Map(),
        requests: { callbacks: [], states: selection.unit.requests.states },
      },
      patched: selection.patched.map(f => ({ ...f, atom: this.#atom(f.atom) })),
      callbacks: selection.callbacks.map(c => ({ ...c, atom: this.#atom(c.atom) })),
      atoms,
      offered: selection.offered.map(atom => this.#atom(atom)),
      ...lookUps(this.#entries, this.#resolutions),
    };
  }

  /** @param bytes - of an atom that is selected; of another one nothing but its place matters */
  #atom(atom: Atom, bytes?: Uint8Array): DetachedAtom {
    const known = this.#atoms.get(atom);
    if (known !== undefined && bytes === undefined) return known;
    const copy = known ?? {
      ...atom,
      symbol: atom.symbol && { ...atom.symbol, section: this.#section(atom.section) },
      section: this.#section(atom.section),
      bytes: new Uint8Array(),
      references: [],
      entries: [],
    };
    this.#atoms.set(atom, copy);
    return bytes === undefined ? copy : Object.assign(copy, { bytes });
  }

  #section(section: Section): Section {
    let copy = this.#sections.get(section);
    if (copy === undefined) {
      copy = { ...section, bytes: new Uint8Array() };
      this.#sections.set(section, copy);
    }
    return copy;
  }

  #reference(reference: Reference): Reference {
    const resolution = this.#selection.resolve(reference);
    const { target } = reference;
    const copy: Reference =
      target.kind === 'atom'
        ? { ...reference, target: { ...target, atom: this.#atom(target.atom) } }
        : reference;
    this.#resolutions.set(
      copy,
      resolution.kind === 'copy' ? { ...resolution, atom: this.#atom(resolution.atom) } : resolution,
    );
    return copy;
  }
}

/**
 * A function of its own: functions made in one place share all that any of them uses, and in `run()` that is the very selection
 * that is to be let go.
 */
function lookUps(
  entries: ReadonlyMap<Atom, readonly Entry[]>,
  resolutions: ReadonlyMap<Reference, Resolution>,
): Pick<Selection, 'codeOf' | 'entriesOf' | 'resolve'> {
  return {
    codeOf: atom => atom,
    entriesOf: atom => entries.get(atom) ?? [],
    resolve(reference) {
      const resolution = resolutions.get(reference);
      if (resolution === undefined) throw new RangeError('The reference belongs to no selected atom');
      return resolution;
    },
  };
}
