/**
 * Code and data that no symbol names are compared where something that has a name refers to them (sameness.ts). To some of it
 * nothing does: what an assembler's local labels name, what code reaches by a distance that the assembler wrote down, what a
 * linker script gathers. No part of it can be redirected or replaced, so all that is to be known is whether it is the same.
 */
import { hasFlag, SHF } from '@kstitch/elf/constants';
import { type Diagnostic, diagnostic } from '@kstitch/report/diagnostic';
import { isPrivateLabelSection } from './sameness.ts';
import type { Atom, Unit } from './unit/atom.ts';
import { contentKey } from './unit/content.ts';

/** @returns one finding for each section in which it differs */
export function compareUnreached(before: Unit, after: Unit): readonly Diagnostic[] {
  if (before.unreached.length === 0 && after.unreached.length === 0) return [];
  const [theirs, ours] = [before, after].map(bySection);
  const diagnostics: Diagnostic[] = [];
  for (const name of new Set([...(theirs?.keys() ?? []), ...(ours?.keys() ?? [])])) {
    const old = theirs?.get(name) ?? [];
    const fresh = ours?.get(name) ?? [];
    if (old.map(contentKeyOf).sort().join('\n') === fresh.map(contentKeyOf).sort().join('\n')) continue;
    const [atom] = [...fresh, ...old];
    if (atom === undefined) continue;
    const isCode = hasFlag(atom.section.sh_flags, SHF.EXECINSTR);
    const what = isCode ? 'code' : 'data';
    const code = atom.init ? 'init-changed' : isCode ? 'unnamed-code-changed' : 'data-changed';
    const place = { unit: after.name, symbol: name, section: name };
    diagnostics.push(
      diagnostic(code, place, `the patch changes ${what} in section '${name}' that no symbol names`),
    );
  }
  return diagnostics;
}

/** What the compiler keeps under a private label is reached by a relocation or not at all: clang leaves tables that it put into code. */
function bySection(unit: Unit): ReadonlyMap<string, readonly Atom[]> {
  const reachable = unit.unreached.filter(({ section }) => !isPrivateLabelSection(section));
  return Map.groupBy(reachable, ({ section }) => section.name);
}

function contentKeyOf(atom: Atom): string {
  return contentKey(atom);
}
