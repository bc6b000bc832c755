/**
 * Puts a single-executable blob into a copy of Node.js.
 *
 * node looks through its PT_NOTE segments for a note named `NODE_SEA_BLOB` once its fuse is set (src/node_sea.cc, by way of
 * `dl_iterate_phdr()`). The blob is therefore appended as a note, in a PT_LOAD segment of its own behind the last one. That
 * takes one more program header than the linker left room for. What stands behind the table is the name of the dynamic loader
 * and the linker's own notes (build id, oldest kernel), which nothing needs: the note's header becomes ours, the name moves up
 * into the room of the notes, and the table grows into the room of the name. No other byte of a segment moves.
 *
 * What no segment holds (symbols, section headers) is left out, as `strip` does.
 */
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_NOTE = 4;
const PT_PHDR = 6;
const PF_R = 4;
const PAGE = 0x1000;
const headerSize = 64;
const programHeaderSize = 56;

const noteName = 'NODE_SEA_BLOB';
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:';

interface Segment {
  type: number;
  readonly flags: number;
  offset: number;
  address: number;
  fileSize: number;
  memorySize: number;
  readonly alignment: number;
}

/**
 * @param node - a Node.js for x86-64 Linux
 * @param blob - what `node --experimental-sea-config` made
 * @returns the executable
 * @throws Error - when the file is not laid out as described above
 */
export function injectBlob(node: Uint8Array, blob: Uint8Array): Uint8Array {
  const original = Buffer.from(node.buffer, node.byteOffset, node.byteLength);
  // ELFCLASS64, ELFDATA2LSB, EM_X86_64
  if (original.readUInt32BE(0) !== 0x7f454c46 || original[4] !== 2 || original.readUInt16LE(18) !== 62)
    throw new Error('node is no ELF file for x86-64');
  const segments = readSegments(original);
  const tableEnd = headerSize + segments.length * programHeaderSize;
  const interpreter = only(segments, PT_INTERP);
  const note = only(segments, PT_NOTE);
  const roomEnd = note.offset + note.fileSize;
  if (
    original.readBigUInt64LE(32) !== BigInt(headerSize) ||
    interpreter.offset !== tableEnd ||
    note.offset - (interpreter.offset + interpreter.fileSize) >= note.alignment ||
    tableEnd + programHeaderSize + interpreter.fileSize > roomEnd
  )
    throw new Error('no room for one more program header in node');

  const loaded = segments.filter(({ type }) => type === PT_LOAD);
  const content = noteOf(blob);
  const offset = alignUp(Math.max(...segments.map(segment => segment.offset + segment.fileSize)));
  const address = alignUp(Math.max(...loaded.map(segment => segment.address + segment.memorySize)));
  const size = { fileSize: content.length, memorySize: content.length };
  const added = { type: PT_LOAD, flags: PF_R, offset, address, ...size, alignment: PAGE };

  const executable = Buffer.alloc(offset + content.length);
  original.copy(executable, 0, 0, offset);
  setFuse(executable);
  content.copy(executable, offset);

  const name = original.subarray(interpreter.offset, interpreter.offset + interpreter.fileSize);
  executable.fill(0, tableEnd, roomEnd);
  name.copy(executable, tableEnd + programHeaderSize);
  interpreter.offset += programHeaderSize;
  interpreter.address += programHeaderSize;
  Object.assign(note, { offset, address, ...size });
  const table = only(segments, PT_PHDR);
  table.fileSize += programHeaderSize;
  table.memorySize += programHeaderSize;
  // The System V ABI wants loadable segments in the order of their addresses.
  segments.splice(segments.lastIndexOf(loaded[loaded.length - 1] as Segment) + 1, 0, added);
  writeHeaders(executable, segments);
  return executable;
}

function readSegments(elf: Buffer): Segment[] {
  const start = Number(elf.readBigUInt64LE(32));
  return Array.from({ length: elf.readUInt16LE(56) }, (_, index) => {
    const at = start + index * programHeaderSize;
    const field = (position: number): number => Number(elf.readBigUInt64LE(at + position));
    return {
      type: elf.readUInt32LE(at),
      flags: elf.readUInt32LE(at + 4),
      offset: field(8),
      address: field(16),
      fileSize: field(32),
      memorySize: field(40),
      alignment: field(48),
    };
  });
}

function writeHeaders(elf: Buffer, segments: readonly Segment[]): void {
  elf.writeBigUInt64LE(0n, 40); // e_shoff
  elf.writeUInt16LE(segments.length, 56); // e_phnum
  elf.writeUInt16LE(0, 60); // e_shnum
  elf.writeUInt16LE(0, 62); // e_shstrndx
  for (const [index, segment] of segments.entries()) {
    const at = headerSize + index * programHeaderSize;
    elf.writeUInt32LE(segment.type, at);
    elf.writeUInt32LE(segment.flags, at + 4);
    const { offset, address, fileSize, memorySize, alignment } = segment;
    for (const [place, value] of [offset, address, address, fileSize, memorySize, alignment].entries())
      elf.writeBigUInt64LE(BigInt(value), at + 8 + place * 8);
  }
}

/** The one byte behind the fuse's name tells node to look. */
function setFuse(executable: Buffer): void {
  const at = executable.indexOf(`${fuse}0`);
  if (at < 0 || executable.includes(`${fuse}0`, at + 1))
    throw new Error('node has no fuse for single executables, or several');
  executable.write('1', at + fuse.length);
}

/** Elf64_Nhdr: sizes of name and contents, type; name and contents are padded to 4 bytes. */
function noteOf(blob: Uint8Array): Buffer {
  const name = Buffer.from(`${noteName}\0`);
  const head = Buffer.alloc(12);
  head.writeUInt32LE(name.length, 0);
  head.writeUInt32LE(blob.length, 4);
  const padding = (length: number): Buffer => Buffer.alloc(-length & 3);
  return Buffer.concat([head, name, padding(name.length), blob, padding(blob.length)]);
}

function only(segments: readonly Segment[], type: number): Segment {
  const [found, second] = segments.filter(segment => segment.type === type);
  if (found === undefined || second !== undefined)
    throw new Error(`node has no program header of type ${type}, or several`);
  return found;
}

function alignUp(value: number): number {
  return Math.ceil(value / PAGE) * PAGE;
}
