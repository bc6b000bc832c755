/** What one file asks the preprocessor to read. */
export interface IncludeLine {
  /** Between the quotes: `linux/fs.h`, `../internal.h`. */
  readonly name: string;
  /** `"…"`, which is looked for beside the including file first. */
  readonly quoted: boolean;
}

const includeLine = /^[ \t]*#[ \t]*(?:include|include_next|import)\b[ \t]*(?:([<"])([^>"\n]+)[>"])/gm;
/** `#define GENL_MAGIC_INCLUDE_FILE <linux/drbd_genl.h>`, for an `#include` of that name elsewhere. */
const includeMacro = /^[ \t]*#[ \t]*define[ \t]+\w+[ \t]+([<"])([\w./+-]+\.\w+)[>"][ \t]*$/gm;
/** Names the file that include/trace/define_trace.h reads again and again, without its ending. */
const traceFile = /^[ \t]*#[ \t]*define[ \t]+TRACE_INCLUDE_FILE[ \t]+([\w+-]+)[ \t]*$/gm;

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
  for (const [, quote, name] of text.matchAll(includeLine)) add(quote, name);
  if (text.includes('define')) {
    for (const [, quote, name] of text.matchAll(includeMacro)) add(quote, name);
    for (const [, name] of text.matchAll(traceFile)) add('"', `${name}.h`);
  }
  return [...found.values()];
}
