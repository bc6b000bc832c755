/** What the kernel's stack check will find, or not find, when the livepatch is put into force. */
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { vmlinux } from '../references.ts';
import type { Atom } from '../unit/atom.ts';
import type { CodeUses } from './code-uses.ts';
import { OldColdParts } from './old-cold-part.ts';
import type { RunningUnit } from './running-unit.ts';
import type { SelectInput } from './selection.ts';
import { alwaysOnStacks, findThreadFunctions } from './thread-functions.ts';

export class StackCautions {
  readonly #input: SelectInput;
  readonly #running: RunningUnit;
  readonly #uses: CodeUses;
  #threads: ReadonlySet<Atom> | undefined;
  #oldColdParts: OldColdParts | undefined;

  constructor(input: SelectInput, running: RunningUnit, uses: CodeUses) {
    this.#input = input;
    this.#running = running;
    this.#uses = uses;
  }

  /** @param old - the as-shipped atom of a function that is redirected */
  ofRedirected(atom: Atom, old: Atom): readonly Diagnostic[] {
    return [...this.#coldPart(atom, old), ...this.#thread(atom)];
  }

  /**
   * The kernel's stack check looks for redirected functions, and who jumped to the carried one is gone from the stack. That
   * is so of what runs, whatever the patch made of the jump.
   */
  ofCarried(carried: Atom): readonly Diagnostic[] {
    const { before, correlation } = this.#input;
    const old = correlation.beforeOf.get(carried);
    const isJumpedTo = before.atoms.some(
      user =>
        user !== old &&
        user.kind === 'function' &&
        !user.init &&
        user.references.some(
          reference =>
            reference.target.kind === 'atom' &&
            reference.target.atom === old &&
            this.#uses.isTailCall(user, reference),
        ),
    );
    if (old === undefined || !isJumpedTo) return [];
    const text = `a task that sleeps in the running kernel's ${carried.name}() is taken for one outside of it`;
    return [diagnostic('carried-unseen', this.#running.place(carried), text)];
  }

  #coldPart(atom: Atom, old: Atom): readonly Diagnostic[] {
    const { shippedTwins, placement, symbols, arch } = this.#input;
    this.#oldColdParts ??= new OldColdParts(shippedTwins, placement, symbols.shipped, arch);
    const cold = this.#oldColdParts.sleeperIn(old.name);
    if (cold === undefined) return [];
    const text = `a task that sleeps in the running kernel's ${cold}() is taken for one outside of ${old.name}()`;
    return [diagnostic('old-cold-part', this.#running.place(atom), text)];
  }

  #thread(atom: Atom): readonly Diagnostic[] {
    const { after, symbols } = this.#input;
    this.#threads ??= findThreadFunctions(after, (user, reference) => this.#uses.isBranch(user, reference));
    const isAlways = symbols.shipped.name === vmlinux && alwaysOnStacks.has(atom.name);
    if (!isAlways && !this.#threads.has(atom)) return [];
    const text = isAlways
      ? `${atom.name}() is on the stack of kernel threads as long as they sleep, and the transition waits for each of them`
      : `${atom.name}() is the main function of a thread, and the transition waits until each such thread has left it`;
    return [diagnostic('thread-function', this.#running.place(atom), text)];
  }
}
