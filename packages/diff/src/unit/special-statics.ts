/**
 * Static objects that macros make for one place in the code: the once-flag of a warning, a rate limit, a lockdep key, the
 * name of the function. A patched function gets its own; nothing is lost when that starts afresh.
 *
 * A variable of the source may have any of these names, and then its state must go on. So a name is not enough: the macros put
 * most of what they make where nothing else lies, and what they leave in an ordinary place shows in what is done with it.
 */
import type { Architecture } from '@kstitch/arch/architecture';
import type { Instructions } from '@kstitch/arch/instructions';
import { type Atom, isReadOnly, type Unit } from './atom.ts';
import { baseName, isNumbered } from './names.ts';

type Evidence = 'once-section' | 'debug-section' | 'read-only' | 'bytes-only' | 'address-only';

const evidenceOf: ReadonlyMap<string, Evidence> = new Map([
  ['__func__', 'bytes-only'],
  ['__FUNCTION__', 'bytes-only'],
  ['__PRETTY_FUNCTION__', 'bytes-only'],
  // NL_SET_ERR_MSG()
  ['__msg', 'bytes-only'],
  ['__warned', 'once-section'],
  ['__already_done', 'once-section'],
  ['__already_printed', 'once-section'],
  ['__print_once', 'once-section'],
  // pr_debug()
  ['descriptor', 'debug-section'],
  ['__UNIQUE_ID_ddebug', 'debug-section'],
  // What gcc makes of a switch that only chooses a value.
  ['CSWTCH', 'read-only'],
  // printk() with CONFIG_PRINTK_INDEX
  ['_entry', 'read-only'],
  ['_entry_ptr', 'read-only'],
  ['__key', 'address-only'],
  ['_rs', 'address-only'],
]);

/** include/linux/once_lite.h, mmdebug.h, rcupdate.h; `..` since 6.12. Kernels before 4.14 say __read_mostly. */
const onceSection = /^\.data\.\.?(?:once|unlikely|read_mostly)$/;
/** include/linux/dynamic_debug.h; `__verbose` before 5.0. */
const debugSection = /^__(?:dyndbg|verbose)$/;

/**
 * @returns those of two units that are such objects in both. Where a patch makes one of a name an ordinary variable, none of that
 *   name is taken for anything else: it may have been one all the time
 */
export function specialStaticsOfPair(before: Unit, after: Unit): ReadonlySet<Atom> {
  const [theirs, ours] = [before, after].map(ordinaryNamesakes);
  const special = [...before.specialStatics, ...after.specialStatics];
  return new Set(
    special.filter(atom => {
      const key = keyOf(atom.name);
      return theirs?.get(key) === ours?.get(key);
    }),
  );
}

/** How many variables have each of the names and are no such objects. */
function ordinaryNamesakes(unit: Unit): ReadonlyMap<string | undefined, number> {
  const counts = new Map<string | undefined, number>();
  for (const atom of unit.atoms) {
    if (atom.kind !== 'object' || unit.specialStatics.has(atom)) continue;
    const key = keyOf(atom.name);
    if (key !== undefined) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** @returns those of the atoms that are such objects */
export function findSpecialStatics(atoms: readonly Atom[], arch: Architecture): ReadonlySet<Atom> {
  const special = new Set<Atom>();
  const doubtful = new Set<Atom>();
  for (const atom of atoms) {
    if (atom.kind !== 'object') continue;
    const evidence = evidenceOf.get(keyOf(atom.name) ?? '');
    if (evidence === undefined || !shows(atom, evidence)) continue;
    special.add(atom);
    if (evidence === 'address-only') doubtful.add(atom);
  }
  if (doubtful.size > 0) for (const atom of usedInPlace(atoms, doubtful, arch)) special.delete(atom);
  return special;
}

/** Gcc names a static local `__warned.4`, clang `foo.__warned`; a variable of a file has neither number nor function. */
function keyOf(name: string): string | undefined {
  if (!name.includes('.')) {
    return name.startsWith('__UNIQUE_ID_ddebug') && isNumbered(name) ? '__UNIQUE_ID_ddebug' : undefined;
  }
  const base = baseName(name);
  const last = base.slice(base.lastIndexOf('.') + 1);
  return [base, last].find(key => evidenceOf.has(key));
}

function shows(atom: Atom, evidence: Evidence): boolean {
  switch (evidence) {
    case 'once-section':
      return onceSection.test(atom.section.name);
    case 'debug-section':
      return debugSection.test(atom.section.name);
    case 'read-only':
      return isReadOnly(atom);
    case 'bytes-only':
      return isReadOnly(atom) && atom.references.length === 0;
    case 'address-only':
      return true;
  }
}

/** A key or a rate limit is handed to a function of the kernel; whoever reads or writes one itself has made it. */
function* usedInPlace(atoms: readonly Atom[], wanted: ReadonlySet<Atom>, arch: Architecture): Iterable<Atom> {
  for (const atom of atoms) {
    let instructions: Instructions | undefined;
    for (const { target, offset } of atom.references) {
      if (target.kind !== 'atom' || !wanted.has(target.atom)) continue;
      if (atom.kind === 'function') {
        instructions ??= arch.decode(atom.bytes);
        if (arch.takesAddress(atom.bytes, instructions, offset)) continue;
      }
      yield target.atom;
    }
  }
}
