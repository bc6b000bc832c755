/**
 * A folder of small files as one text, so that a machine's /proc and /sys can be recorded, read and reviewed:
 *
 * ```
 * d sys/kernel/livepatch/x/vmlinux/pipe_read,1
 * f proc/sys/kernel/osrelease
 *  6.1.0-55-cloud-amd64
 * b sys/kernel/notes
 *  BAAAABQAAAADAAAAR05VAA==
 * ```
 *
 * A line of a file has a blank before it; `b` is a file that is not lines of text, in base64. Git keeps no empty folders.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const base64Columns = 100;

/** @returns the files below `folder` and its empty folders, in the order of their paths */
export function writeTreeText(folder: string): string {
  const walk = (path: string): string[] => {
    const entries = readdirSync(join(folder, path), { withFileTypes: true });
    if (entries.length === 0) return [`d ${path}`];
    return entries
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap(entry => {
        const below = join(path, entry.name);
        return entry.isDirectory() ? walk(below) : fileLines(below, readFileSync(join(folder, below)));
      });
  };
  return `${walk('').join('\n')}\n`;
}

function fileLines(path: string, bytes: Uint8Array): string[] {
  const text = Buffer.from(bytes).toString('utf8');
  const plain = Buffer.from(text).equals(bytes) && !text.includes('\0') && /(?:^|\n)$/.test(text);
  if (plain)
    return [
      `f ${path}`,
      ...text
        .split('\n')
        .slice(0, -1)
        .map(line => ` ${line}`),
    ];
  const coded = Buffer.from(bytes).toString('base64');
  const lines = Array.from({ length: Math.ceil(coded.length / base64Columns) }, (_, index) =>
    coded.slice(index * base64Columns, (index + 1) * base64Columns),
  );
  return [`b ${path}`, ...lines.map(line => ` ${line}`)];
}

/** Makes the folder that {@link writeTreeText} was given, below `folder`. */
export function makeTree(text: string, folder: string): void {
  for (const block of text.split(/\n(?=[dfb] )/)) {
    const [head = '', ...lines] = block.replace(/\n$/, '').split('\n');
    const path = join(folder, head.slice(2));
    if (head.startsWith('d ')) {
      mkdirSync(path, { recursive: true });
      continue;
    }
    mkdirSync(dirname(path), { recursive: true });
    const content = lines.map(line => line.slice(1));
    writeFileSync(
      path,
      head.startsWith('b ')
        ? Buffer.from(content.join(''), 'base64')
        : content.map(line => `${line}\n`).join(''),
    );
  }
}
