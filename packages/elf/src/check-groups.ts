import { KstitchError } from '@kstitch/report/error';
import { ET, hasFlag, SHF } from './constants.ts';
import type { Numbering } from './numbering.ts';
import type { BuilderHeader } from './object-builder.ts';

/**
 * Groups and `SHF_GROUP` have to say the same, and a group's header has to stand before its members' (gABI chapter 4,
 * "Section Groups"): GNU ld silently drops or keeps the wrong sections otherwise. Executables have no groups.
 *
 * @throws KstitchError - `elf-not-encodable`
 */
export function checkGroups(header: BuilderHeader, numbering: Numbering): void {
  if (header.e_type !== ET.REL) return;
  const grouped = new Set<number>();
  for (const [position, { name, content }] of numbering.sections.entries()) {
    if (content.kind !== 'group') continue;
    for (const member of content.members) {
      const index = numbering.sectionIndex(member, () => `section group '${name}'`);
      const memberName = numbering.sections[index - 1]?.name;
      if (index <= position + 1) {
        throw notEncodable(`section group '${name}': its member '${memberName}' stands before it`);
      }
      if (grouped.has(index)) {
        throw notEncodable(`section group '${name}': its member '${memberName}' is in another group too`);
      }
      grouped.add(index);
    }
  }
  for (const [position, { name, sh_flags }] of numbering.sections.entries()) {
    if (hasFlag(sh_flags, SHF.GROUP) === grouped.has(position + 1)) continue;
    const problem = grouped.has(position + 1)
      ? 'it is in a group but lacks SHF_GROUP'
      : 'it has SHF_GROUP but is in no group';
    throw notEncodable(`section '${name}': ${problem}`);
  }
}

function notEncodable(problem: string): KstitchError {
  return new KstitchError('elf-not-encodable', `cannot write ${problem}`);
}
