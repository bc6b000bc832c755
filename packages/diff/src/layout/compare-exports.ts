/**
 * What a patch changes about the types of exported symbols, as genksyms sees them: its dump has a line for each symbol and for
 * each type that it hangs on, and the CRC of a symbol is over all of them (scripts/genksyms/genksyms.c).
 *
 *   f int f ( s#foo * )
 *   s#foo struct foo { int a ; s#bar * b ; }
 *   s#bar struct bar { UNKNOWN }
 *
 * The CRC of a symbol mostly changes because an include made a type known: that is no change for anybody who runs.
 */

/** Of one unit. */
export interface ExportTypes {
  /** By symbol. */
  readonly crcs: ReadonlyMap<string, number>;
  /** By `f` or `s#foo`: the rest of its line. */
  readonly lines: ReadonlyMap<string, string>;
  /** By `s#foo`: the file that the compiler was in where it came upon the definition. */
  readonly definedIn: ReadonlyMap<string, string>;
}

export interface ExportChange {
  readonly symbol: string;
  /** Of the unpatched unit, to be held against Module.symvers. */
  readonly crc: number;
  readonly cause:
    | { readonly kind: 'declaration'; readonly before: string; readonly after: string }
    /** `struct bar`, which an include made known or unknown. */
    | { readonly kind: 'visible'; readonly type: string; readonly header?: string }
    | { readonly kind: 'type'; readonly type: string }
    | { readonly kind: 'untold' };
}

/**
 * @param output - of genksyms: `#SYMVER f 0x1a2b3c4d`; `f = 0x1a2b3c4d ;` before 5.19
 * @param dump - what it wrote with `-T`
 * @param preprocessed - what it read, with line markers; default: nothing is known of where types are defined
 */
export function parseExportTypes(output: string, dump: string, preprocessed = ''): ExportTypes {
  const crcs = [...output.matchAll(/^(?:#SYMVER |__crc_)(\S+) (?:= )?0x([0-9a-f]+)/gm)];
  const lines = dump.split('\n').map(line => {
    const blank = line.indexOf(' ');
    return [line.slice(0, blank), line.slice(blank + 1).trim()] as const;
  });
  return {
    crcs: new Map(crcs.map(([, name = '', crc = '']) => [name, Number.parseInt(crc, 16)])),
    lines: new Map(lines.filter(([key]) => key !== '')),
    definedIn: definitionsIn(preprocessed),
  };
}

/** @returns symbols that both export, with different CRCs, by name */
export function compareExports(before: ExportTypes, after: ExportTypes): readonly ExportChange[] {
  return [...before.crcs]
    .filter(([symbol, crc]) => after.crcs.has(symbol) && after.crcs.get(symbol) !== crc)
    .map(([symbol, crc]) => ({ symbol, crc, cause: causeOf(symbol, before, after) }))
    .toSorted((a, b) => (a.symbol < b.symbol ? -1 : 1));
}

const marker = /^# \d+ "([^"]*)"/;
const definition = /^\s*(?:typedef\s+)?(struct|union|enum)\s+(\w+)\s*(?:\{|$)/;

/** The kernel puts a type at the beginning of a line, with its brace behind it or on the next. */
function definitionsIn(preprocessed: string): Map<string, string> {
  const found = new Map<string, string>();
  let file = '';
  let open: string | undefined;
  for (const line of preprocessed.split('\n')) {
    if (open !== undefined && line.trimStart().startsWith('{')) found.set(open, file);
    open = undefined;
    const name = marker.exec(line)?.[1];
    if (name !== undefined) file = name;
    const [, kind, tag] = definition.exec(line) ?? [];
    if (kind === undefined || tag === undefined) continue;
    const key = `${kind[0]}#${tag}`;
    if (line.includes('{')) found.set(key, file);
    else open = key;
  }
  return found;
}

function causeOf(symbol: string, before: ExportTypes, after: ExportTypes): ExportChange['cause'] {
  const declared = [before.lines.get(symbol), after.lines.get(symbol)];
  if (declared[0] !== declared[1])
    return { kind: 'declaration', before: declared[0] ?? '', after: declared[1] ?? '' };

  // The nearest type that differs, along what the symbol hangs on.
  const seen = new Set([symbol]);
  for (const key of seen) {
    const [theirs, ours] = [before.lines.get(key), after.lines.get(key)];
    if (theirs !== ours && key !== symbol) {
      const isVisibility = [theirs, ours].some(line => line?.endsWith(' { UNKNOWN }') ?? true);
      if (!isVisibility) return { kind: 'type', type: spelled(key) };
      const header = after.definedIn.get(key) ?? before.definedIn.get(key);
      return { kind: 'visible', type: spelled(key), ...(header !== undefined && { header }) };
    }
    for (const [word] of (ours ?? '').matchAll(/(?<= |^)[a-zA-Z]#\S+/g)) seen.add(word);
  }
  return { kind: 'untold' };
}

const kinds: Readonly<Record<string, string>> = { s: 'struct ', u: 'union ', e: 'enum ' };

/** @returns `struct foo` for `s#foo`, `foo_t` for the typedef `t#foo_t` */
function spelled(key: string): string {
  const [kind = '', name = ''] = key.split('#');
  return `${kinds[kind] ?? ''}${name}`;
}
