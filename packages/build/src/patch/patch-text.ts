/** What a file must be before it is read as a unified diff: text with the line ends of the source, and nothing encoded. */
import { KstitchError } from '@kstitch/report/error';

/**
 * @param name - how messages call the patch
 * @param lines - of the bytes, without their newlines
 * @throws KstitchError - `patch-not-text`, `patch-crlf`, `patch-encoded-mail`, `patch-not-unified`
 */
export function checkPatchText(name: string, bytes: Uint8Array, lines: readonly string[]): void {
  checkBytes(name, bytes, lines);

  // A file of the source may have lines with a CR, and so may a hunk; the diff's own lines have none.
  const own = lines.findIndex(line => isOfDiff(line) && line.endsWith('\r'));
  if (own !== -1) {
    const ends = lines.filter(line => line.endsWith('\r'));
    const whole = lines.at(-1) === '' ? lines.length - 1 : lines.length;
    const first = lines.findIndex(line => line.endsWith('\r')) + 1;
    throw new KstitchError(
      'patch-crlf',
      `read '${name}': ${ends.length} of ${whole} lines end in CR LF, line ${first} is the first`,
    );
  }

  const diff = lines.findIndex(line => /^(?:diff |--- |\+\+\+ |@@ )/.test(line));
  const encoded = lines.findIndex(line => transferEncoding.test(line));
  if (encoded !== -1 && (diff === -1 || encoded < diff)) {
    const encoding = transferEncoding.exec(lines[encoded] ?? '')?.[1]?.toLowerCase();
    throw new KstitchError(
      'patch-encoded-mail',
      `read '${name}': line ${encoded + 1} says that the mail is encoded as ${encoding}`,
    );
  }

  const combined = lines.findIndex(line => /^diff --(?:cc|combined) /.test(line));
  if (combined !== -1) throw otherKind(name, combined, 'a combined diff');
  const context = lines.findIndex(
    (line, at) =>
      /^\*\*\* \S/.test(line) && /^--- \S/.test(lines[at + 1] ?? '') && /^\*{15}/.test(lines[at + 2] ?? ''),
  );
  if (context !== -1) throw otherKind(name, context, 'a context diff');
}

const transferEncoding = /^Content-Transfer-Encoding: *(base64|quoted-printable)\s*$/i;

function isOfDiff(line: string): boolean {
  return /^(?:diff --git a\/|--- \S|\+\+\+ \S|@@ -\d)/.test(line);
}

function checkBytes(name: string, bytes: Uint8Array, lines: readonly string[]): void {
  const at = bytes.indexOf(0);
  if (at === -1) return;
  const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  const line = lines.findIndex(text => text.includes('\0')) + 1;
  const end = bytes.findLastIndex(byte => byte !== 0) + 1;
  const tail = end === bytes.length ? '' : `; ${bytes.length - end} of them end the file`;
  throw new KstitchError(
    'patch-not-text',
    isUtf16 ? `read '${name}': it is saved as UTF-16` : `read '${name}': line ${line} has a NUL byte${tail}`,
  );
}

function otherKind(name: string, index: number, what: string): KstitchError {
  return new KstitchError('patch-not-unified', `read '${name}': line ${index + 1} begins ${what}`);
}
