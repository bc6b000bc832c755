import type { Diagnostic, Place } from '@kstitch/report/diagnostic';
import type { PatchedUnit } from '../build-livepatch.ts';

/**
 * objtool sees the linked object and names functions in it; which unit each came from is known here.
 *
 * @param findings - `objtool-warning` and others
 * @param units - what was linked
 * @returns the findings, those about one function of one unit with its place
 */
export function placeWarnings(
  findings: readonly Diagnostic[],
  units: readonly Pick<PatchedUnit, 'command' | 'object' | 'difference'>[],
): readonly Diagnostic[] {
  return findings.map(finding => {
    const [, name, offset] = warnedAt.exec(finding.text) ?? [];
    if (finding.code !== 'objtool-warning' || name === undefined) return finding;
    const places = units.flatMap(({ command, object, difference: { selection } }): Place[] => {
      const renamed = selection.patched.find(({ oldName }) => oldName === name)?.atom;
      const atom = renamed ?? selection.atoms.find(other => other.name === name);
      if (atom?.kind !== 'function') return [];
      const at = offset === undefined ? {} : { offset: Number.parseInt(offset, 16) };
      return [{ object, unit: command.source, symbol: atom.name, ...at }];
    });
    const [place, ...others] = places;
    return place === undefined || others.length > 0 ? finding : { ...finding, place };
  });
}

/** `…: foo()+0x1c: unreachable instruction`, `…: .text.foo: unexpected end of section`, `…: foo() falls through to …` */
const warnedAt = /': (?:\.text\.(?:unlikely\.|hot\.)?)?([\w.]+?)(?:\(\))?(?:\+0x([0-9a-f]+))?(?:: | falls )/;
