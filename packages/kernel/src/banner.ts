/**
 * The line that a kernel prints first, and `/proc/version` later. It is the one place in a shipped image that names the
 * compiler:
 *
 *     Linux version 6.1.0-55-cloud-amd64 (debian-kernel@lists.debian.org)
 *       (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40)
 *       #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-14)
 *
 * Source: init/version-timestamp.c, init/Makefile (what it ends with is cut after 64 characters), scripts/mkcompile_h.
 */
import { latin1 } from '@kstitch/elf/byte-reader';
import { KstitchError } from '@kstitch/report/error';
import type { KernelImage } from './kernel-image.ts';

export interface Banner {
  /** The whole line. */
  readonly text: string;
  /** `6.1.0-55-cloud-amd64` */
  readonly release: string;
  readonly compiler: Tool;
  readonly linker: Tool;
  /** What follows: `#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-14)`. */
  readonly build: string;
  /** The distribution's version of the kernel, `6.1.192-1`; undefined of a kernel that no distribution built. */
  readonly packageVersion: string | undefined;
}

export interface Tool {
  /** As it names itself: `gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0`. */
  readonly text: string;
  /** How it was called: `gcc-12`, `GNU ld`. */
  readonly program: string;
  /** `12.2.0` */
  readonly version: string;
  /** The distribution's version in brackets, `12.2.0-14+deb12u1`; undefined when there is none. */
  readonly packageVersion: string | undefined;
}

const start = Buffer.from('Linux version ', 'latin1');
/** Bytes; the kernel's own buffers for its parts are far smaller. */
const longestBanner = 1024;

/**
 * @throws KstitchError - `kernel-banner` when the image has none, or one of other words
 */
export function readBanner(image: KernelImage): Banner {
  const lines = image.sections.flatMap(section => bannersIn(section.bytes));
  // Since 6.1 init/version.c holds a weak one that version-timestamp.c replaces when vmlinux is linked. It stays in the
  // image, and was compiled when the build had no number yet: `# SMP` instead of `#1 SMP`.
  const line = lines.find(text => / #\d+ /.test(text)) ?? lines[0];
  if (line === undefined) {
    throw new KstitchError(
      'kernel-banner',
      `cannot find the banner in '${image.elf.what}': no section holds 'Linux version ' and a release`,
    );
  }
  return parseBanner(line);
}

function bannersIn(bytes: Uint8Array): string[] {
  const found: string[] = [];
  const haystack = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = haystack.indexOf(start); at >= 0; at = haystack.indexOf(start, at + 1)) {
    const text = latin1(bytes.subarray(at, at + longestBanner));
    const end = text.search(/[\0\n]/);
    // Format strings begin the same way, with a '%s' where the release stands.
    if (end >= 0 && /^\d/.test(text.slice(start.length))) found.push(text.slice(0, end));
  }
  return found;
}

/**
 * @param text - the line without its newline, as in `/proc/version`
 * @throws KstitchError - `kernel-banner`
 */
export function parseBanner(text: string): Banner {
  const fail = (problem: string) =>
    new KstitchError('kernel-banner', `cannot read the banner '${text}': ${problem}`);
  const head = /^Linux version (\S+) /.exec(text);
  const release = head?.[1];
  if (head === null || release === undefined) throw fail('it has no release');

  // Two groups in brackets follow, with brackets inside: who built it, and with what.
  const builder = groupAt(text, head[0].length);
  const tools = builder === undefined ? undefined : groupAt(text, head[0].length + builder.length + 1);
  if (builder === undefined || tools === undefined) throw fail('it has no compiler in brackets');
  const [compiler, linker, ...more] = splitOutsideBrackets(tools.slice(1, -1));
  if (compiler === undefined || linker === undefined || more.length > 0) {
    throw fail(`'${tools}' is not one compiler and one linker`);
  }
  const build = text.slice(head[0].length + builder.length + 1 + tools.length).trim();
  return {
    text,
    release,
    compiler: parseTool(compiler),
    linker: parseTool(linker),
    build,
    packageVersion: / Debian (\S+) \(/.exec(build)?.[1],
  };
}

function parseTool(text: string): Tool {
  const bracket = groupAt(text, text.indexOf('('));
  const inBracket = bracket?.slice(1, -1);
  const [program] = text.split(' (');
  return {
    text,
    program: bracket === undefined ? text.replace(/\s+\S+$/, '') : (program ?? text),
    version: /(\S+)$/.exec(text)?.[1] ?? '',
    packageVersion: inBracket === undefined ? undefined : /^Debian (\S+)$/.exec(inBracket)?.[1],
  };
}

/** @returns the balanced `(…)` that begins at `at` */
function groupAt(text: string, at: number): string | undefined {
  if (text[at] !== '(') return undefined;
  let depth = 0;
  for (let end = at; end < text.length; end++) {
    if (text[end] === '(') depth++;
    else if (text[end] === ')' && --depth === 0) return text.slice(at, end + 1);
  }
  return undefined;
}

function splitOutsideBrackets(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '(') depth++;
    else if (text[at] === ')') depth--;
    else if (depth === 0 && text.startsWith(', ', at)) {
      parts.push(text.slice(from, at));
      from = at + 2;
    }
  }
  return [...parts, text.slice(from)];
}
