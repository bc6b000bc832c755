import { createHash } from 'node:crypto';
import type { Atom, Reference } from './atom.ts';
import { baseName } from './names.ts';

/**
 * A key that two atoms share when they hold the same, whatever the compiler numbered: bytes, relocations with their
 * targets by base name or content, special-section entries.
 */
export function contentKey(atom: Atom): string {
  const hash = createHash('sha1');
  hash.update(`${atom.kind} ${atom.size}\n`).update(atom.bytes);
  describeReferences(hash, atom.references);
  for (const entry of atom.entries) {
    hash.update(`\n${entry.section.name} ${entry.ownerOffset} `).update(entry.bytes);
    describeReferences(hash, entry.references);
  }
  return hash.digest('base64');
}

function describeReferences(hash: ReturnType<typeof createHash>, references: readonly Reference[]): void {
  for (const { offset, type, target } of references) {
    hash.update(`\n${offset} ${type} ${target.offset} `);
    if (target.kind === 'external') hash.update(target.name);
    else if (target.atom.name !== '') hash.update(baseName(target.atom.name));
    else hash.update(target.atom.bytes);
  }
}
