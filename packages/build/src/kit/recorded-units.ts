import { readFile } from 'node:fs/promises';
import { fileError } from '@kstitch/host/files';

/** How one unit of the kernel or of a module is compiled. */
export interface RecordedUnit {
  /** Path of the object below the source: `fs/ext4/mballoc.o`. */
  readonly object: string;
  /** The modules it is linked into, as paths without `.ko` below the source: `fs/xfs/xfs`; none when it is built in. */
  readonly modules: readonly string[];
  /** The compiler command as kbuild runs it in the source folder, for a shell, without objtool. */
  readonly command: string;
}

/**
 * @param file - `paths.units` of a kit
 * @returns every unit the flavour is built from, built in or as part of a module, by the path of its object, in that order
 */
export async function readRecordedUnits(file: string): Promise<ReadonlyMap<string, RecordedUnit>> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw fileError(`read '${file}'`, error);
  });
  return new Map(
    text.split('\n').flatMap(line => {
      const [object, modules, command] = line.split('\t');
      if (object === undefined || modules === undefined || command === undefined) return [];
      return [[object, { object, modules: modules.split(' ').filter(name => name !== ''), command }]];
    }),
  );
}

/**
 * The words of a recorded command, as a shell would split them: kbuild quotes with '…', "…" and \ and uses nothing else.
 */
export function splitCommand(command: string): readonly string[] {
  const words: string[] = [];
  let word = '';
  let inWord = false;
  // Text in single quotes, text in double quotes, an escaped character, white space, anything else.
  for (const [piece, single, double, escaped, space] of command.matchAll(
    /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|(\s+)|[^\s'"\\]+/g,
  )) {
    if (space !== undefined) {
      if (inWord) words.push(word);
      word = '';
      inWord = false;
    } else {
      word += single ?? double?.replaceAll(/\\(["\\$`])/g, '$1') ?? escaped ?? piece;
      inWord = true;
    }
  }
  if (inWord) words.push(word);
  return words;
}
