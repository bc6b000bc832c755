/** What a light reading of C knows about one line. */
export interface SourceLine {
  /** Whether a `#line` directive can stand above it and change nothing but the numbers. */
  readonly open: boolean;
  /** A directive that opens, splits or closes a conditional. */
  readonly conditional: 'if' | 'else' | 'endif' | undefined;
}

/**
 * Reads C so far as to tell where a directive is harmless: not within a comment, a string, a line continued by a backslash, or
 * round brackets. A macro's arguments are among the latter, and the statement expressions in them; a call's arguments, a
 * condition, an asm statement are left alone as well.
 *
 * Where `#if` and `#else` open different brackets, the deeper count goes on. A wrong guess costs a directive that comes
 * late, not a wrong program.
 *
 * @param lines - each with its newline
 */
export function readSourceLines(lines: readonly string[]): readonly SourceLine[] {
  const result: SourceLine[] = [];
  let state: LexerState = { comment: false, continued: false, directive: false, depth: 0 };
  const branches: { readonly before: number; deepest: number }[] = [];
  for (const line of lines) {
    const conditional = state.comment || state.continued ? undefined : conditionalOf(line);
    // A macro's name may stand on the line above its arguments.
    const open = !state.comment && !state.continued && state.depth === 0 && !/^\s*\(/.test(line);
    result.push({ open, conditional });
    state = readLine(line, state);

    const branch = branches.at(-1);
    if (conditional === 'if') branches.push({ before: state.depth, deepest: 0 });
    else if (branch !== undefined && conditional !== undefined) {
      branch.deepest = Math.max(branch.deepest, state.depth);
      if (conditional === 'endif') branches.pop();
      state = { ...state, depth: conditional === 'endif' ? branch.deepest : branch.before };
    }
  }
  return result;
}

interface LexerState {
  /** Within a block comment. */
  readonly comment: boolean;
  /** The line above ends with a backslash. */
  readonly continued: boolean;
  /** Within a directive, whose brackets do not count. */
  readonly directive: boolean;
  /** Round brackets open. */
  readonly depth: number;
}

function conditionalOf(line: string): SourceLine['conditional'] {
  const name = /^\s*#\s*(if|ifdef|ifndef|elif|elifdef|elifndef|else|endif)\b/.exec(line)?.[1];
  if (name === undefined) return undefined;
  if (name === 'endif') return 'endif';
  return name.startsWith('el') ? 'else' : 'if';
}

/** The tokens that matter: comment marks, literals whole as far as they end on this line, brackets. */
const token = /\/\*|\*\/|\/\/|"(?:\\.|[^"\\])*(?:"|$)|'(?:\\.|[^'\\])*(?:'|$)|[()]/g;

function readLine(line: string, state: LexerState): LexerState {
  const text = line.replace(/\r?\n$/, '');
  const continued = text.endsWith('\\');
  const directive = state.directive || (!state.comment && !state.continued && /^\s*#/.test(text));
  let { comment, depth } = state;
  let at = 0;
  while (at < text.length) {
    if (comment) {
      const end = text.indexOf('*/', at);
      if (end === -1) break;
      comment = false;
      at = end + 2;
      continue;
    }
    token.lastIndex = at;
    const found = token.exec(text);
    if (found === null || found[0] === '//') break;
    at = found.index + found[0].length;
    if (found[0] === '/*') comment = true;
    else if (!directive && found[0] === '(') depth++;
    else if (!directive && found[0] === ')') depth = Math.max(0, depth - 1);
  }
  return { comment, continued, directive: directive && (continued || comment), depth };
}
