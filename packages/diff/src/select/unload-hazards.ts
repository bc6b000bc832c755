/** What speaks against removing the module: ways in which its memory may be in use after it was disabled. */
import type { Atom, Entry, Reference } from '../unit/atom.ts';
import { coldParentOf } from '../unit/names.ts';
import type { CodeUses } from './code-uses.ts';
import { mayKeepText, nextCallee } from './text-keepers.ts';

export class UnloadHazards {
  readonly #uses: CodeUses;
  readonly #found = new Set<string>();

  constructor(uses: CodeUses) {
    this.#uses = uses;
  }

  get found(): readonly string[] {
    return [...this.#found];
  }

  /** do_exit(): whoever is behind exit_notify() is on no list, and no stack check finds it. */
  noteNoReturn(atom: Atom): void {
    this.#found.add(`${atom.name}() does not return: a task that the kernel no longer lists may be in it`);
  }

  noteColdPart(atom: Atom): void {
    const parent = coldParentOf(atom.name);
    if (parent === undefined) return;
    this.#found.add(`${parent}() has a cold part, which the kernel's stack check does not cover`);
  }

  /** @param name - of the new function that is referred to */
  noteFunction(atom: Atom, entry: Entry | undefined, reference: Reference, name: string): void {
    if (!this.#uses.isCode(atom, entry, reference))
      this.#found.add(`the address of the new ${name}() may be held by the kernel`);
    else if (this.#uses.isTailCall(atom, reference))
      this.#found.add(`${name}() is reached by a sibling call from ${atom.name}()`);
  }

  noteObject(atom: Atom, entry: Entry | undefined, reference: Reference, name: string): void {
    if (!this.#uses.makesAddress(atom, entry, reference)) return;
    this.#found.add(`the address of the new '${name}' may be held by the kernel`);
  }

  /** @param to - a text, or data of no name */
  noteText(atom: Atom, reference: Reference, to: Atom): void {
    if (atom.kind !== 'function' || to.kind === 'chunk') return;
    // Of the special statics, those that are texts.
    if (to.name !== '' && !/^__(?:func|FUNCTION|PRETTY_FUNCTION)__/.test(to.name)) return;
    if (this.#uses.storesAddress(atom, reference)) {
      this.#found.add(`${atom.name}() stores the address of a text of the livepatch`);
    } else if (this.#uses.makesAddress(atom, undefined, reference)) {
      const callee = nextCallee(atom, reference, other => this.#uses.isBranch(atom, other));
      if (callee === undefined) this.#found.add(`${atom.name}() hands out a text of the livepatch`);
      else if (mayKeepText(callee))
        this.#found.add(`${callee}() may keep a text of the livepatch, which ${atom.name}() hands it`);
    }
  }
}
