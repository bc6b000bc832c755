import { readSourceLines } from '@kstitch/build/patch/source-lines';

/** What is put in, each whole lines that no compiler makes anything of. */
const nothings = ['\n', '/* nothing */\n', '// nothing\n', '/*\n * nothing, "at\n * length\n */\n\n', '\n\n'];

/**
 * A patch that shifts lines and changes nothing: comments and blank lines between functions and within, wherever no token of
 * C is split by them.
 *
 * @param path - below the kernel source
 * @param text - of that file
 * @param random - numbers from 0 to 1
 * @param share - of the places, from 0 to 1
 * @returns a unified diff of one hunk
 */
export function shiftLinesPatch(path: string, text: string, random: () => number, share = 0.1): string {
  const lines = text.split(/(?<=\n)/);
  const places = readSourceLines(lines).map(({ open }) => open);
  // At least one: the first line of a file is a place always.
  const chosen = new Set(places.flatMap((open, i) => (open && random() < share ? [i] : [])));
  if (chosen.size === 0) chosen.add(0);
  let added = 0;
  const hunk = lines.map((line, i) => {
    const nothing = chosen.has(i) ? (nothings[Math.floor(random() * nothings.length)] ?? '\n') : '';
    const fresh = nothing.split(/(?<=\n)/).filter(part => part !== '');
    added += fresh.length;
    return `${fresh.map(part => `+${part}`).join('')} ${line}`;
  });
  const end = text.endsWith('\n') ? '' : '\n\\ No newline at end of file\n';
  const head = `@@ -1,${lines.length} +1,${lines.length + added} @@`;
  return `--- a/${path}\n+++ b/${path}\n${head}\n${hunk.join('')}${end}`;
}
