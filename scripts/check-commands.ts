import { buildProgram } from '@kstitch/cli/program';
import { readText } from './repository.ts';

/** A word that stands for a command's output: any value of the right form will do. */
const substitutes = [[/"?\$\(uname -r\)"?/g, '6.1.0-55-cloud-amd64']] as const;

/**
 * Parses every `kstitch …` line of the fenced code in the documents, without running anything: an option that was renamed, or never
 * existed, shows here and not on a reader's machine.
 *
 * @param paths - Markdown files below the root
 * @returns one line for every command line that kstitch would not take
 */
export async function checkCommands(paths: readonly string[]): Promise<string[]> {
  const problems: string[] = [];
  for (const path of paths) {
    for (const [line, words] of findCommandLines(readText(path))) {
      const problem = await tryCommandLine(words);
      if (problem !== undefined) problems.push(`${path}:${line}: 'kstitch ${words.join(' ')}': ${problem}`);
    }
  }
  return problems;
}

/** @returns the words after `kstitch`, with the number of the line; comments, pipes and redirections end a command */
export function findCommandLines(markdown: string): [line: number, words: string[]][] {
  const found: [number, string[]][] = [];
  let fenced = false;
  const lines = markdown.split('\n');
  for (const [index, line] of lines.entries()) {
    if (/^\s*```/.test(line)) fenced = !fenced;
    else if (fenced) {
      let text = line;
      for (let next = index + 1; text.endsWith('\\') && next < lines.length; next += 1)
        text = text.slice(0, -1) + lines[next];
      const command = /^\s*(?:[$#] )?(?:sudo )?(?:npx |npm run )?kstitch (?:-- )?(?<rest>.*)$/.exec(text)
        ?.groups?.['rest'];
      if (command === undefined) continue;
      const plain = substitutes.reduce((rest, [pattern, value]) => rest.replaceAll(pattern, value), command);
      const words = (plain.split(/\s[#>|&]|;\s/)[0] ?? '').trim().split(/\s+/);
      if (!words.includes('…') && words[0] !== '')
        found.push([index + 1, words.map(word => word.replaceAll(/['"]/g, ''))]);
    }
  }
  return found;
}

/** @returns why kstitch would not take these words; undefined when it would */
export async function tryCommandLine(words: readonly string[]): Promise<string | undefined> {
  const program = await buildProgram({
    version: '0.0.0',
    run: () => Promise.resolve(),
    writeOut: () => {},
    writeErr: () => {},
    columns: 80,
  });
  try {
    await program.parseAsync(words, { from: 'user' });
    return undefined;
  } catch (error) {
    const end = error as { exitCode?: number; message?: string };
    return end.exitCode === 0 ? undefined : (end.message ?? String(error));
  }
}
