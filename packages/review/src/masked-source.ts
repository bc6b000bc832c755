/**
 * @param lines - C source, each line with its newline
 * @returns the same lines without comments and without what stands between quotes: blanks stand there, so that columns stay
 */
export function maskSource(lines: readonly string[]): readonly string[] {
  const masked: string[] = [];
  let comment = false;
  for (const line of lines) {
    let text = '';
    let at = 0;
    while (at < line.length) {
      if (comment) {
        const end = line.indexOf('*/', at);
        const to = end < 0 ? line.length : end + 2;
        text += blank(line.slice(at, to));
        comment = end < 0;
        at = to;
        continue;
      }
      token.lastIndex = at;
      const found = token.exec(line);
      if (found === null) {
        text += line.slice(at);
        break;
      }
      text += line.slice(at, found.index);
      at = found.index;
      if (found[0] === '/*') {
        comment = true;
        text += '  ';
        at += 2;
      } else {
        const isComment = found[0] === '//';
        const whole = isComment ? line.slice(at) : found[0];
        text += isComment ? blank(whole) : whole[0] + blank(whole.slice(1, -1)) + whole.slice(-1);
        at += whole.length;
      }
    }
    masked.push(text);
  }
  return masked;
}

const token = /\/\*|\/\/|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?/g;

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ');
}
