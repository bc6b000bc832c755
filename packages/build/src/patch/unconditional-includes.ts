import { type IncludeLine, readIncludes } from './include-lines.ts';

/** What holds of every C unit of the kernel proper. */
const alwaysTrue = /^(?:ifdef\s+__KERNEL__|ifndef\s+__ASSEMBL(?:Y|ER)__)\s*$/;
const directive = /^[ \t]*#[ \t]*((?:if|ifdef|ifndef|else|elif\w*|endif|define|include)\b.*)$/;

/**
 * The include lines of a file that the preprocessor takes whatever the configuration of a C unit is. Those within the guard
 * against being included twice are among them: the first time it holds.
 *
 * @param text - C
 */
export function readUnconditionalIncludes(text: string): readonly IncludeLine[] {
  const taken: string[] = [];
  /** Of each open branch, whether it is always taken. */
  const branches: boolean[] = [];
  let guard: string | undefined;
  let seen = 0;
  for (const line of withoutComments(text).split('\n')) {
    const words = directive.exec(line)?.[1];
    if (words === undefined) continue;
    seen += 1;
    if (words.startsWith('if')) {
      guard = seen === 1 ? /^ifndef\s+(\w+)\s*$/.exec(words)?.[1] : undefined;
      branches.push(alwaysTrue.test(words));
    } else if (words.startsWith('el')) {
      if (branches.length > 0) branches[branches.length - 1] = false;
    } else if (words.startsWith('endif')) branches.pop();
    else if (words.startsWith('define')) {
      if (seen === 2 && guard !== undefined && /^define\s+(\w+)/.exec(words)?.[1] === guard)
        branches[0] = true;
    } else if (branches.every(isTaken => isTaken)) taken.push(line);
  }
  return readIncludes(taken.join('\n'));
}

function withoutComments(text: string): string {
  return text
    .replaceAll('\\\n', ' ')
    .replaceAll(/"(?:\\.|[^"\\\n])*"|\/\*[^]*?\*\/|\/\/.*/g, part => (part.startsWith('"') ? part : ' '));
}
