import { ByteReader, latin1 } from './byte-reader.ts';
import { NT, PT, SHT } from './constants.ts';
import type { ByteOrder, ElfFile } from './model.ts';

export interface Note {
  /** The owner, without its terminating NUL: `GNU`, `Linux`. */
  readonly name: string;
  /** `n_type`, to be understood by owner: `NT_*` for `GNU`. */
  readonly type: number;
  readonly desc: Uint8Array;
}

/**
 * Decodes a `SHT_NOTE` section or a `PT_NOTE` segment (gABI chapter 5, "Note Section"; words have 4 bytes in ELF64 too).
 *
 * @param align - `sh_addralign` or `p_align`: 8 pads names and descriptors to 8 bytes, all else to 4
 * @param what - for messages
 * @throws KstitchError - `elf-truncated`
 */
export function parseNotes(bytes: Uint8Array, byteOrder: ByteOrder, align: number, what = 'notes'): Note[] {
  const reader = new ByteReader(bytes, byteOrder, what);
  const padding = align === 8 ? 8 : 4;
  const padded = (size: number) => Math.ceil(size / padding) * padding;
  const notes: Note[] = [];
  let at = 0;
  while (at < bytes.length) {
    const nameSize = reader.u32(at, 'n_namesz');
    const descSize = reader.u32(at + 4, 'n_descsz');
    const type = reader.u32(at + 8, 'n_type');
    const descAt = padded(at + 12 + nameSize);
    const name = latin1(reader.range(at + 12, nameSize, 'the name of a note')).replace(/\0+$/, '');
    notes.push({ name, type, desc: reader.range(descAt, descSize, `the descriptor of note '${name}'`) });
    at = padded(descAt + descSize);
  }
  return notes;
}

/**
 * @returns the id that the linker gave this build, in lower-case hex; undefined without one
 * @throws KstitchError - `elf-truncated`
 */
export function buildId(file: ElfFile): string | undefined {
  for (const { bytes, align, where } of notePlaces(file)) {
    const found = buildIdIn(bytes, file.header.byteOrder, `${where} of '${file.what}'`, align);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * @param bytes - notes alone, as in `/sys/kernel/notes`
 * @param align - as for {@link parseNotes}
 * @returns the build id among them, in lower-case hex
 * @throws KstitchError - `elf-truncated`
 */
export function buildIdIn(
  bytes: Uint8Array,
  byteOrder: ByteOrder,
  what: string,
  align = 4,
): string | undefined {
  const notes = parseNotes(bytes, byteOrder, align, what);
  const found = notes.find(note => note.name === 'GNU' && note.type === NT.GNU_BUILD_ID);
  return found === undefined ? undefined : Buffer.from(found.desc).toString('hex');
}

function notePlaces(file: ElfFile): { bytes: Uint8Array; align: number; where: string }[] {
  const sections = file.sections
    .filter(section => section.sh_type === SHT.NOTE)
    .map(({ bytes, sh_addralign, index, name }) => ({
      bytes,
      align: sh_addralign,
      where: `section ${index} '${name}'`,
    }));
  if (sections.length > 0) return sections;
  // A file without section headers has its notes in segments.
  return file.segments
    .filter(segment => segment.p_type === PT.NOTE)
    .map(({ p_offset, p_filesz, p_align }, index) => ({
      bytes: file.bytes.subarray(p_offset, p_offset + p_filesz),
      align: Number(p_align),
      where: `note segment ${index}`,
    }));
}
