import { createHash } from 'node:crypto';
import { KstitchError } from '@kstitch/report/error';
import { checkPatchText } from './patch-text.ts';
import { sourcePath } from './source-path.ts';

/** A patch as it was given. */
export interface PatchText {
  /** How messages call it: the file's name. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface Patch {
  readonly name: string;
  /** Of the bytes as given, hexadecimal: names the patch in the livepatch's record. */
  readonly sha256: string;
  readonly files: readonly FilePatch[];
}

/** What a patch does to one file. Texts have one character a byte (latin1), so that no byte of the source is lost. */
export interface FilePatch {
  /** Below the kernel source, `/` between folders. */
  readonly path: string;
  readonly change: 'modify' | 'create' | 'delete';
  readonly hunks: readonly Hunk[];
}

export interface Hunk {
  /** Line of the old file, from 1, where the hunk says it begins; of a hunk without old lines, the line before it. */
  readonly oldStart: number;
  readonly lines: readonly HunkLine[];
}

export interface HunkLine {
  readonly kind: 'context' | 'remove' | 'add';
  /** With its newline, unless the file ends without one. */
  readonly text: string;
}

/** Bytes of one patch; the largest fix in the stable kernels of 2026 has 180 KiB. */
export const maxPatchSize = 16 * 1024 * 1024;
/** Files that one patch may change. */
export const maxPatchFiles = 1000;

/**
 * Reads a unified diff, as git, quilt and diff write it; text around it (a mail, a commit message) is passed over.
 *
 * Names lose their first folder, as with `patch -p1`.
 *
 * @throws KstitchError - `patch-empty`, `patch-malformed`, `patch-too-large`, `patch-path-unsafe`, `patch-renames-file`,
 *   `patch-binary`, `patch-special-file`, `patch-mode-only`, and what {@link checkPatchText} throws
 */
export function parsePatch({ name, bytes }: PatchText): Patch {
  if (bytes.length > maxPatchSize) {
    throw new KstitchError(
      'patch-too-large',
      `read '${name}': ${bytes.length} bytes are more than the limit of ${maxPatchSize}`,
    );
  }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const lines = text.split('\n');
  checkPatchText(name, bytes, lines);
  const sections = readSections(name, lines);
  const files = sections.flatMap(section => readSection(name, section));
  const [chmod] = sections.filter(section => section.hunks.length === 0);
  if (files.length === 0 && chmod !== undefined)
    throw new KstitchError(
      'patch-mode-only',
      `read '${name}': it changes the mode of '${namedPath(name, chmod.after) ?? ''}', and no contents`,
    );
  if (files.length === 0)
    throw new KstitchError('patch-empty', `read '${name}': there is no unified diff in it`);
  if (files.length > maxPatchFiles) {
    throw new KstitchError(
      'patch-too-large',
      `read '${name}': it changes ${files.length} files, the limit is ${maxPatchFiles}`,
    );
  }
  return { name, sha256: createHash('sha256').update(bytes).digest('hex'), files };
}

/** What stands in a patch about one file. */
interface Section {
  before: string | undefined;
  after: string | undefined;
  /** `rename from`, `copy from` of git. */
  moved: boolean;
  hunks: Hunk[];
}

/**
 * npm's `diff` has a reader of its own, but that one takes the signature of `git format-patch` (a line of `-- `) for a
 * removed line, and moves hunks that have no old lines.
 */
function readSections(name: string, lines: readonly string[]): readonly Section[] {
  const sections: Section[] = [];
  let open: Section | undefined;
  const start = (before: string | undefined, after: string | undefined): Section => {
    const section: Section = { before, after, moved: false, hunks: [] };
    sections.push(section);
    return section;
  };
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const next = lines[at + 1] ?? '';
    const git = /^diff --git (a\/.*) (b\/.*)$/.exec(line);
    const mode = /^(new|deleted) file mode /.exec(line)?.[1];
    const special =
      /^(?:(?:new|deleted) file mode|new mode|index [0-9a-f]+\.\.[0-9a-f]+) (120000|160000)$/.exec(line);
    if (git !== null) open = start(git[1], git[2]);
    else if (line === 'GIT binary patch' || /^Binary files .* differ$/.test(line)) {
      const file = open?.after?.slice(2) ?? / and (?:b\/)?(\S+) differ$/.exec(line)?.[1] ?? '';
      throw new KstitchError('patch-binary', `read '${name}': it changes the binary file '${file}'`);
    } else if (open !== undefined && open.hunks.length === 0 && special !== null) {
      const what = special[1] === '120000' ? 'a symbolic link' : 'a submodule';
      throw new KstitchError('patch-special-file', `read '${name}': '${open.after?.slice(2)}' is ${what}`);
    } else if (open !== undefined && open.hunks.length === 0 && /^(?:rename|copy) (?:from|to) /.test(line))
      open.moved = true;
    else if (open !== undefined && open.hunks.length === 0 && mode === 'new') open.before = '/dev/null';
    else if (open !== undefined && open.hunks.length === 0 && mode === 'deleted') open.after = '/dev/null';
    else if (line.startsWith('--- ') && next.startsWith('+++ ')) {
      // Below git's header these two say the same again, and better.
      if (open === undefined || open.hunks.length > 0 || open.moved) open = start(undefined, undefined);
      open.before = fileName(line);
      open.after = fileName(next);
      at++;
    } else if (line.startsWith('@@ ')) {
      if (open === undefined) throw malformed(name, at, 'a hunk has no file header above it');
      const { hunk, end } = readHunk(name, lines, at);
      open.hunks.push(hunk);
      at = end - 1;
    }
  }
  return sections;
}

/** The name in a header line, without the time that diff puts behind a tab. */
function fileName(header: string): string {
  return header.slice('--- '.length).split('\t')[0]?.trimEnd() ?? '';
}

const kinds: Readonly<Record<string, HunkLine['kind']>> = { ' ': 'context', '-': 'remove', '+': 'add' };

function readHunk(
  name: string,
  lines: readonly string[],
  start: number,
): { readonly hunk: Hunk; readonly end: number } {
  const header = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(lines[start] ?? '');
  if (header === null)
    throw malformed(name, start, `'${(lines[start] ?? '').slice(0, 60)}' is no hunk header`);
  const [oldLines, newLines] = [Number(header[2] ?? 1), Number(header[4] ?? 1)];
  const left = { remove: oldLines, add: newLines };
  const read: HunkLine[] = [];
  let at = start + 1;
  for (; left.remove > 0 || left.add > 0; at++) {
    const line = lines[at];
    // Mail programs take the blank off an empty context line.
    const kind = line === '' && at < lines.length - 1 ? 'context' : kinds[line?.[0] ?? ''];
    if (line === undefined || kind === undefined) {
      throw malformed(name, start, `the hunk ends ${left.remove} old and ${left.add} new lines early`);
    }
    if (kind !== 'add') left.remove--;
    if (kind !== 'remove') left.add--;
    if (left.remove < 0 || left.add < 0)
      throw malformed(name, start, 'the hunk has more lines than its header says');
    const unended = lines[at + 1]?.startsWith('\\ ') === true;
    read.push({ kind, text: unended ? line.slice(1) : `${line.slice(1)}\n` });
    if (unended) at++;
  }
  // `-- ` is the signature of a mail, `--- ` the next file.
  if (/^(?:\+|-(?!- ?$|-- ))/.test(lines[at] ?? '')) {
    throw malformed(name, start, 'the hunk has more lines than its header says');
  }
  return { hunk: { oldStart: Number(header[1]), lines: read }, end: at };
}

function readSection(name: string, section: Section): readonly FilePatch[] {
  const before = namedPath(name, section.before);
  const after = namedPath(name, section.after);
  const path = after ?? before;
  if (path === undefined) {
    throw new KstitchError('patch-malformed', `read '${name}': both names of a file are /dev/null`);
  }
  if (section.moved || (before !== undefined && after !== undefined && before !== after)) {
    throw new KstitchError(
      'patch-renames-file',
      `read '${name}': it renames '${before ?? path}' to '${after ?? path}'`,
    );
  }
  // A changed mode alone changes no code.
  if (section.hunks.length === 0 && before !== undefined && after !== undefined) return [];
  const change = before === undefined ? 'create' : after === undefined ? 'delete' : 'modify';
  return [{ path, change, hunks: section.hunks }];
}

function malformed(name: string, index: number, why: string): KstitchError {
  return new KstitchError('patch-malformed', `read '${name}': line ${index + 1}: ${why}`);
}

/** @returns the path below the source, undefined for /dev/null */
function namedPath(patch: string, header: string | undefined): string | undefined {
  if (header === undefined || header === '/dev/null') return undefined;
  const unsafe = (why: string) =>
    new KstitchError('patch-path-unsafe', `read '${patch}': the file name '${header}' ${why}`);
  if (header.startsWith('/')) throw unsafe('is absolute');
  const slash = header.indexOf('/');
  if (slash === -1)
    throw new KstitchError(
      'patch-malformed',
      `read '${patch}': the file name '${header}' has no folder to take off`,
    );
  const path = sourcePath(header.slice(slash + 1));
  if (path === undefined || header.slice(0, slash) === '..') throw unsafe('leads out of the kernel source');
  return path;
}
