/**
 * Compare: which correlated atoms differ.
 *
 * A changed message makes a changed function (sameness.ts). A private table that functions only read in place may
 * change too; each function that reads it then counts as changed. Line numbers need no special case: the after-unit
 * was compiled with every untouched line at its old number.
 */
import type { Architecture } from '@kstitch/arch/architecture';
import type { Instructions } from '@kstitch/arch/instructions';
import { STB } from '@kstitch/elf/constants';
import { type Diagnostic, diagnostic, type Place } from '@kstitch/report/diagnostic';
import type { Correlation } from './correlate.ts';
import { Sameness } from './sameness.ts';
import { type Atom, isReadOnly, type Unit } from './unit/atom.ts';
import { contentKey } from './unit/content.ts';
import { baseName, coldParentOf } from './unit/names.ts';
import { roleOf } from './unit/section-role.ts';
import { compareUnreached } from './unreached.ts';

/** How a function itself differs. */
export type ChangeReason = 'changed' | 'cold part changed';

export interface Comparison {
  /** Private read-only tables that differ: functions that use one are changed and bring their own. */
  readonly replaced: ReadonlySet<Atom>;
  /** After-functions that differ from their before-twin, in unit order, with why. */
  readonly changed: ReadonlyMap<Atom, ChangeReason>;
  /** After-functions without a twin, in unit order. */
  readonly added: readonly Atom[];
  /** @returns whether references to the atom mean its contents, so that a patched function brings its own copy */
  isCopiedByContent(atom: Atom): boolean;
  readonly sameness: Sameness;
  /** What changed and cannot be live-patched: data, init code, tables of the kernel. */
  readonly diagnostics: readonly Diagnostic[];
}

export function compareUnits(
  before: Unit,
  after: Unit,
  correlation: Correlation,
  arch: Architecture,
): Comparison {
  return new Comparer(before, after, correlation, arch).run();
}

class Comparer {
  readonly #before: Unit;
  readonly #after: Unit;
  readonly #correlation: Correlation;
  readonly #arch: Architecture;
  readonly #sameness: Sameness;
  #addressTaken: ReadonlySet<Atom> | undefined;
  readonly #diagnostics: Diagnostic[] = [];

  constructor(before: Unit, after: Unit, correlation: Correlation, arch: Architecture) {
    this.#before = before;
    this.#after = after;
    this.#correlation = correlation;
    this.#arch = arch;
    this.#sameness = new Sameness(before, after, correlation, arch);
  }

  run(): Comparison {
    const changed = new Map<Atom, ChangeReason>();
    const added: Atom[] = [];
    const byName = new Map<string, Atom>();
    for (const atom of this.#after.atoms) if (atom.kind === 'function') byName.set(atom.name, atom);

    // Objects first: a function that uses a replaced one is changed by that.
    for (const after of this.#after.atoms) {
      const before = this.#correlation.beforeOf.get(after);
      if (after.kind === 'object' && before !== undefined) this.#compareObject(before, after);
    }
    for (const after of this.#after.atoms) {
      if (after.kind !== 'function' && after.kind !== 'object') continue;
      const before = this.#correlation.beforeOf.get(after);
      if (after.kept !== undefined) continue;
      if (after.init) {
        this.#checkInit(before, after);
      } else if (after.kind === 'function') {
        if (before?.init === true) this.#diagnostics.push(this.#initChanged(after, 'changes'));
        else if (before === undefined) added.push(after);
        else if (roleOf(before.section) !== roleOf(after.section))
          this.#diagnostics.push(this.#sectionChanged(before, after));
        else if (!this.#sameness.same(before, after)) changed.set(after, 'changed');
      }
    }
    this.#checkVanished();
    this.#checkInitOrder();
    this.#checkNames();
    this.#checkPlaceless();
    this.#checkTables();
    this.#diagnostics.push(...compareUnreached(this.#before, this.#after));

    // A cold part is no function to the kernel: its parent is patched in its place.
    for (const cold of [...changed.keys(), ...added]) {
      const parent = byName.get(coldParentOf(cold.name) ?? '');
      changed.delete(cold);
      if (parent === undefined) {
        if (this.#correlation.beforeOf.has(cold)) changed.set(cold, 'changed');
      } else if (!changed.has(parent) && this.#correlation.beforeOf.has(parent)) {
        changed.set(parent, 'cold part changed');
      }
    }
    return {
      replaced: this.#sameness.replaced,
      changed,
      added: added.filter(atom => coldParentOf(atom.name) === undefined),
      isCopiedByContent: atom => this.#sameness.isCopiedByContent(atom),
      sameness: this.#sameness,
      diagnostics: this.#diagnostics,
    };
  }

  #compareObject(before: Atom, after: Atom): void {
    if (after.init || after.kept !== undefined || this.#sameness.isCopiedByContent(after)) return;
    if (before.init) {
      this.#diagnostics.push(this.#initChanged(after, 'changes'));
      return;
    }
    if (roleOf(before.section) !== roleOf(after.section)) {
      this.#diagnostics.push(this.#sectionChanged(before, after));
      return;
    }
    if (isLikeMemory(before, after) && this.#sameness.same(before, after)) return;
    if (this.#isPrivateTable(before) && this.#isPrivateTable(after)) this.#sameness.replaced.add(after);
    else this.#diagnostics.push(this.#dataChanged(before, after));
  }

  /** Local, read-only and only ever read in place: nobody but functions of this unit can tell a copy from it. */
  #isPrivateTable(atom: Atom): boolean {
    if (!isReadOnly(atom) || atom.symbol?.bind !== STB.LOCAL) return false;
    this.#addressTaken ??= new Set([
      ...findAddressTaken(this.#before, this.#arch),
      ...findAddressTaken(this.#after, this.#arch),
    ]);
    return !this.#addressTaken.has(atom);
  }

  #dataChanged(before: Atom, after: Atom): Diagnostic {
    const size = before.size === after.size ? '' : `: ${before.size} bytes before, ${after.size} after`;
    return diagnostic(
      'data-changed',
      { unit: this.#after.name, symbol: after.name || after.section.name },
      `the patch changes the data object '${after.name || after.section.name}'${size}`,
    );
  }

  /** Init code has run and is gone. */
  #checkInit(before: Atom | undefined, after: Atom): void {
    if (before?.init === true && before.section.name === after.section.name) {
      if (this.#sameness.same(before, after)) return;
    }
    if (before === undefined && after.name === '') return;
    this.#diagnostics.push(this.#initChanged(after, before === undefined ? 'adds' : 'changes'));
  }

  #checkVanished(): void {
    for (const before of this.#before.atoms) {
      if (!before.init || before.name === '' || this.#correlation.afterOf.has(before)) continue;
      this.#diagnostics.push(this.#initChanged(before, 'removes'));
    }
  }

  /** Of two calls at one level that which stands first in the table is made first. */
  #checkInitOrder(): void {
    const last = new Map<string, Atom>();
    for (const after of this.#after.atoms) {
      const before = this.#correlation.beforeOf.get(after);
      if (!after.init || after.kind !== 'object' || before === undefined) continue;
      const { name } = after.section;
      if (!/initcall/.test(name) || before.section.name !== name) continue;
      const previous = last.get(name);
      last.set(name, before);
      if (previous !== undefined && previous.offset > before.offset)
        this.#diagnostics.push(this.#initChanged(after, 'moves'));
    }
  }

  /** A value that other units count on, such as `foo_end - foo` of inline assembly. */
  #checkPlaceless(): void {
    for (const [name, is] of this.#after.placeless) {
      const was = this.#before.placeless.get(name);
      if (was === undefined || was === is) continue;
      const text = `the patch gives '${name}', which had ${was}, ${is}`;
      this.#diagnostics.push(diagnostic('data-changed', { unit: this.#after.name, symbol: name }, text));
    }
  }

  #sectionChanged(before: Atom, after: Atom): Diagnostic {
    const isCode = after.kind === 'function';
    const what = isCode ? `${nameOf(after)}()` : `the data object '${nameOf(after)}'`;
    const text = `the patch moves ${what} from section '${before.section.name}' to '${after.section.name}'`;
    return diagnostic(isCode ? 'section-changed' : 'data-changed', this.#placeOf(after), text);
  }

  /**
   * Other units call a global name, and those that the kernel was linked from call what it named then. That an alias names
   * another function, or a function became one, shows in no function of this unit.
   */
  #checkNames(): void {
    const before = publicNames(this.#before);
    const fresh = publicNames(this.#after);
    for (const name of moduleEntries) {
      const [old, now] = [before.get(name), fresh.get(name)];
      if (old === undefined && now !== undefined) this.#diagnostics.push(this.#initChanged(now, 'adds'));
      if (old !== undefined && now === undefined) this.#diagnostics.push(this.#initChanged(old, 'removes'));
    }
    for (const [name, after] of fresh) {
      const old = before.get(name);
      if (old === undefined || old === this.#correlation.beforeOf.get(after)) continue;
      if (this.#correlation.ambiguous.has(after)) continue;
      if (old.kind === 'function' && after.kind === 'function' && this.#sameness.same(old, after)) continue;
      const text = `the patch makes '${name}', which was a name of '${old.name}', one of '${after.name}'`;
      this.#diagnostics.push(diagnostic('name-moved', { ...this.#placeOf(after), symbol: name }, text));
    }
  }

  #initChanged(atom: Atom, verb: 'adds' | 'changes' | 'moves' | 'removes'): Diagnostic {
    const name = atom.kind === 'function' ? `${atom.name}()` : `'${nameOf(atom)}'`;
    const text = `the patch ${verb} ${name}, which runs only at boot or module load`;
    const options = verb === 'adds' ? { help: insteadOfInit } : {};
    return diagnostic('init-changed', this.#placeOf(atom), text, options);
  }

  /**
   * Tables of the kernel (exports, parameters) were read when it booted. Their entries are numbered anew all the time
   * (`__UNIQUE_ID_alias337`) or have no name (`.pci_fixup_final`), so they are counted by what they hold.
   */
  #checkTables(): void {
    // Nearly all are what they were, under the same name.
    const kept = new Set<Atom>();
    for (const [ours, theirs] of this.#correlation.beforeOf) {
      if (ours.kept === undefined || ours.section.name !== theirs.section.name) continue;
      if (this.#sameness.same(theirs, ours)) kept.add(ours).add(theirs);
    }
    const before = tableEntries(this.#before, kept);
    const after = tableEntries(this.#after, kept);
    for (const [verb, ours, theirs] of [
      ['adds', after, before],
      ['removes', before, after],
    ] as const) {
      for (const [key, atoms] of ours) {
        const [atom] = atoms;
        if (atom?.kept === undefined || atoms.length <= (theirs.get(key)?.length ?? 0)) continue;
        const { what, harmless } = atom.kept;
        const text = `the patch ${verb} ${what}: '${nameOf(atom)}' in section '${atom.section.name}'`;
        const help = harmless ? undefined : insteadOf[what];
        this.#diagnostics.push(
          diagnostic(
            harmless ? 'table-left' : 'table-changed',
            this.#placeOf(atom),
            text,
            help === undefined ? {} : { help },
          ),
        );
      }
    }
  }

  #placeOf(atom: Atom): Place {
    return { unit: this.#after.name, symbol: nameOf(atom), section: atom.section.name };
  }
}

/**
 * Whether code may do the same to two objects, by the same instructions, and count on their addresses alike: `const` and plain
 * variables differ, and so does a stricter alignment.
 */
function isLikeMemory(before: Atom, after: Atom): boolean {
  if (isReadOnly(before) || isReadOnly(after)) return isReadOnly(before) === isReadOnly(after);
  const alignments = [alignmentOf(before), alignmentOf(after)];
  return alignments.includes(undefined) || alignments[0] === alignments[1];
}

/** Of an object with a section of its own; others take their place as it comes, in `.data..percpu` for example. */
function alignmentOf({ section, size }: Atom): number | undefined {
  if (size === 0) return 0;
  return section.sh_size === size ? section.sh_addralign : undefined;
}

/** module_init() and module_exit() give these names to functions of the author's (include/linux/module.h). */
const moduleEntries = ['init_module', 'cleanup_module'];

const insteadOfInit =
  'Write a callback: what KSTITCH_PRE_PATCH() or KSTITCH_POST_PATCH() of kstitch.h names runs when the livepatch is loaded (docs/patch-authors.md).';

/** What a patch's author can write in place of an entry that the running kernel would not read. */
const insteadOf: Readonly<Record<string, string>> = {
  'a module parameter':
    'Use a plain variable. What must be set at run time can go through a file that the code has already, or through pr_debug() being switched on.',
  'a tracepoint':
    'Use pr_debug(): a livepatch brings its own debug messages. Tracepoints that the kernel has can be used.',
  'a static call': 'Call through a function pointer that is a plain variable, or branch on a static key.',
  'a system call': 'Leave it out: the table of system calls cannot grow in a running kernel.',
  'a kprobe rule': 'Leave NOKPROBE_SYMBOL() and ALLOW_ERROR_INJECTION() out: they are read at boot.',
  'a BTF id list':
    'Leave the kfunc or the set of ids out: BPF programs are checked against the lists of the running kernel.',
};

function nameOf(atom: Atom): string {
  return atom.name || atom.section.name;
}

function publicNames(unit: Unit): Map<string, Atom> {
  const names = new Map<string, Atom>();
  for (const atom of unit.atoms) {
    if (atom.symbol === undefined || atom.symbol.bind === STB.LOCAL || atom.kept !== undefined) continue;
    for (const name of [atom.name, ...atom.aliases]) names.set(name, atom);
  }
  return names;
}

function tableEntries(unit: Unit, but: ReadonlySet<Atom>): Map<string, Atom[]> {
  const entries = new Map<string, Atom[]>();
  for (const atom of unit.atoms) {
    if (atom.kept === undefined || but.has(atom)) continue;
    const key = `${atom.section.name} ${baseName(atom.name)} ${contentKey(atom)}`;
    const list = entries.get(key);
    if (list === undefined) entries.set(key, [atom]);
    else list.push(atom);
  }
  return entries;
}

/**
 * Objects whose address something holds or makes, other than a function that reads or writes through it: a copy could be
 * told from the original.
 */
function* findAddressTaken(unit: Unit, arch: Architecture): Iterable<Atom> {
  for (const atom of unit.atoms) {
    const isCode = atom.kind === 'function' && !atom.init;
    let instructions: Instructions | undefined;
    for (const { target, offset } of atom.references) {
      if (target.kind !== 'atom' || target.atom.kind !== 'object') continue;
      if (isCode && target.atom.symbol?.bind === STB.LOCAL && isReadOnly(target.atom)) {
        instructions ??= arch.decode(atom.bytes);
        if (!arch.takesAddress(atom.bytes, instructions, offset)) continue;
      }
      yield target.atom;
    }
    for (const entry of atom.entries) {
      for (const { target } of entry.references) if (target.kind === 'atom') yield target.atom;
    }
  }
}
