/** What one file asks the preprocessor to read. */
export interface IncludeLine {
  /** Between the quotes: `linux/fs.h`, `../internal.h`. */
  readonly name: string;
  /** `"…"`, which is looked for beside the including file first. */
  readonly quoted: boolean;
}

/** `#include <linux/fs.h>`, from its `#` on. */
const includeLine = /#[ \t]*(?:include|include_next|import)\b[ \t]*([<"])([^>"\n]+)[>"]/y;
/**
 * `#define GENL_MAGIC_INCLUDE_FILE <linux/drbd_genl.h>`, for an `#include` of that name elsewhere; and what names the file that
 * include/trace/define_trace.h reads again and again, without its ending.
 */
const defineLine =
  /#[ \t]*define[ \t]+(?:\w+[ \t]+([<"])([\w./+-]+\.\w+)[>"]|TRACE_INCLUDE_FILE[ \t]+([\w+-]+))[ \t]*$/my;

/**
 * Finds all that a file may include, whatever the configuration: lines in branches that are not taken count, and so do macros
 * that hold the name of a file.
 *
 * @param text - C or assembly with C's preprocessor
 */
export function readIncludes(text: string): readonly IncludeLine[] {
  const found = new Map<string, IncludeLine>();
  const add = (quote: string | undefined, name: string | undefined) => {
    if (name !== undefined) found.set(`${quote}${name}`, { name, quoted: quote === '"' });
  };
  // To look for one character is many times as fast as a regular expression over the whole text.
  for (let at = text.indexOf('#'); at !== -1; at = text.indexOf('#', at + 1)) {
    if (!beginsLine(text, at)) continue;
    includeLine.lastIndex = at;
    defineLine.lastIndex = at;
    const [, quote, name, traced] = includeLine.exec(text) ?? defineLine.exec(text) ?? [];
    if (traced === undefined) add(quote, name);
    else add('"', `${traced}.h`);
  }
  return [...found.values()];
}

/** @returns whether nothing but blanks stands before it on its line */
function beginsLine(text: string, at: number): boolean {
  let before = at - 1;
  while (text[before] === ' ' || text[before] === '\t') before -= 1;
  return before < 0 || text[before] === '\n';
}
