import { latin1 } from '@kstitch/elf/byte-reader';
import type { Atom, Reference } from './atom.ts';
import { baseName } from './names.ts';

/**
 * A key that two atoms share when they hold the same, whatever the compiler numbered: bytes, relocations with their
 * targets by base name or content, special-section entries. It is all of that, not a digest: the keys of a unit are compared
 * once and forgotten, and hashing thousands of small atoms costs more than what it saves.
 */
export function contentKey(atom: Atom, depth = 0): string {
  let key = `${atom.kind} ${atom.size}\n${latin1(atom.bytes)}${describeReferences(atom.references, depth)}`;
  for (const entry of atom.entries) {
    key += `\n${entry.section.name} ${entry.ownerOffset} ${latin1(entry.bytes)}${describeReferences(entry.references, depth)}`;
  }
  return key;
}

/** A table of tables of texts; what refers to itself ends somewhere. */
const maxDepth = 4;

function describeReferences(references: readonly Reference[], depth: number): string {
  let text = '';
  for (const { offset, type, target } of references) {
    text += `\n${offset} ${type} ${target.offset} `;
    if (target.kind === 'external') text += target.name;
    else if (target.atom.name !== '') text += baseName(target.atom.name);
    else if (target.atom.references.length > 0 && depth < maxDepth)
      text += contentKey(target.atom, depth + 1);
    else text += latin1(target.atom.bytes);
  }
  return text;
}
