/**
 * Reads what the author of a patch asks for with kstitch.h (packages/livepatch/templates). Each is a record of 16 bytes in a
 * section of its own:
 *
 *   .kstitch.callbacks   u64 kind, index into callbackKinds   u64 function, by a relocation
 *   .kstitch.states      u64 id, 1 to 2^32-1                  u64 version, up to 2^32-1
 */
import type { SectionTreatment } from '@kstitch/arch/special-sections';
import type { Section } from '@kstitch/elf/model';
import { callbackKinds } from '@kstitch/kernel/klp-callbacks';
import type { RequestedCallback, RequestedState, Requests, Target } from './atom.ts';

const recordSize = 16;
const maxNumber = 0xffff_ffffn;

/**
 * @param treatmentOf - what becomes of a section
 * @param targetAt - what the relocation at an offset of a section points to
 * @param malformed - makes the error for a section that kstitch.h did not make
 */
export function readRequests(
  sections: readonly Section[],
  treatmentOf: (section: Section) => SectionTreatment,
  targetAt: (section: Section, offset: number) => Target | undefined,
  malformed: (what: string) => Error,
): Requests {
  const callbacks: RequestedCallback[] = [];
  const states: RequestedState[] = [];
  for (const section of sections) {
    const treatment = treatmentOf(section);
    if (treatment.kind !== 'requests') continue;
    const view = new DataView(section.bytes.buffer, section.bytes.byteOffset, section.bytes.length);
    for (let offset = 0; offset < section.sh_size; offset += recordSize) {
      const fail = () => malformed(`kstitch.h made no record at ${section.name}+0x${offset.toString(16)}`);
      if (offset + recordSize > view.byteLength) throw fail();
      const first = view.getBigUint64(offset, true);
      const second = view.getBigUint64(offset + 8, true);
      if (treatment.of === 'callbacks') {
        const kind = callbackKinds[Number(first)];
        const target = targetAt(section, offset + 8);
        if (kind === undefined || target === undefined) throw fail();
        callbacks.push({ kind, target });
      } else {
        if (first === 0n || first > maxNumber || second > maxNumber) throw fail();
        states.push({ id: Number(first), version: Number(second) });
      }
    }
  }
  return { callbacks, states };
}
