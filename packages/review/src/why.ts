/**
 * Why a function is among the changed ones: which changed lines of the source are in it.
 *
 * The compiler's own debug information says which lines became which instructions, through which inlined functions. A
 * changed line that became none (a declaration, a condition that merged with another) counts for the function whose
 * text it is in. What neither explains is left unexplained.
 */
import type { LineRef, Side, SourceText } from './source-text.ts';

/** A place in the source and the function that it is part of. */
export interface Frame {
  readonly function: string;
  readonly file: string;
  readonly line: number;
}

/** From the line an instruction is made of outwards, through what was inlined; the last frame is the function itself. */
export type Chain = readonly Frame[];

export type Why =
  /** Changed lines of its own text. */
  | { readonly kind: 'source'; readonly lines: readonly LineRef[] }
  /** Changed lines of a function that the compiler inlined. */
  | {
      readonly kind: 'inlined';
      /** Whose lines they are. */
      readonly function: string;
      /** From it outwards; the last is the changed function. */
      readonly chain: readonly string[];
      readonly lines: readonly LineRef[];
    }
  /** A macro that it uses, by the text of the source. */
  | {
      readonly kind: 'macro';
      readonly name: string;
      readonly lines: readonly LineRef[];
      readonly used: readonly LineRef[];
    }
  /** A private read-only table that changes: its own copy is new. */
  | { readonly kind: 'data'; readonly name: string }
  /** The compiler split or specialised what it calls, or stopped to. */
  | { readonly kind: 'callee'; readonly before: string; readonly after: string }
  /** Its own code is the same: it calls what changed and cannot be redirected itself. */
  | { readonly kind: 'carries'; readonly functions: readonly string[] };

export interface ExplainedFunction {
  /** As the source has it. */
  readonly sourceName: string;
  readonly chains: Readonly<Record<Side, readonly Chain[]>>;
  /** Changed private tables that it refers to. */
  readonly tables: readonly string[];
  /** Functions that it calls under another name than before. */
  readonly callees: readonly { readonly before: string; readonly after: string }[];
}

/**
 * @param changed - both sides of the changed files
 * @param unchanged - further sources whose text may use a changed macro
 * @returns the reasons, the nearest first; empty when there is none to be found
 */
export function explainWhy(
  subject: ExplainedFunction,
  changed: readonly SourceText[],
  unchanged: readonly SourceText[] = [],
): readonly Why[] {
  const found = new Map<string, { readonly path: readonly string[]; readonly lines: LineRef[] }>();
  const note = (path: readonly string[], line: LineRef): void => {
    const key = path.join(' ');
    const known = found.get(key);
    if (known === undefined) found.set(key, { path, lines: [line] });
    else known.lines.push(line);
  };
  for (const text of changed) {
    for (const line of text.changed) {
      if (!text.saysSomething(line)) continue;
      for (const path of pathsTo(subject, text, line)) note(path, text.ref(line));
    }
  }
  const lines = [...found.values()].toSorted((a, b) => a.path.length - b.path.length);
  return [
    ...lines.map(
      ({ path, lines: refs }): Why =>
        path.length < 2
          ? { kind: 'source', lines: refs }
          : { kind: 'inlined', function: path[0] ?? '', chain: path, lines: refs },
    ),
    ...macrosOf(subject, changed, unchanged),
    ...subject.tables.map((name): Why => ({ kind: 'data', name })),
    ...subject.callees.map((callee): Why => ({ kind: 'callee', ...callee })),
  ];
}

/** @returns the ways by which a line got into the function, each as functions from the line's own outwards */
function pathsTo(subject: ExplainedFunction, text: SourceText, line: number): readonly (readonly string[])[] {
  const chains = subject.chains[text.side];
  const paths = new Map<string, readonly string[]>();
  for (const chain of chains) {
    const at = chain.findIndex(frame => frame.file === text.path && frame.line === line);
    if (at >= 0) addPath(paths, chain.slice(at));
  }
  const names = text.functionAt(line)?.names ?? [];
  if (paths.size > 0 || names.length === 0) return [...paths.values()];
  // The line became no instruction here; the function that it is part of may have.
  if (names.includes(subject.sourceName)) return [[subject.sourceName]];
  for (const chain of chains) {
    const at = chain.findIndex(frame => frame.file === text.path && names.includes(frame.function));
    if (at >= 0) addPath(paths, chain.slice(at));
  }
  return [...paths.values()];
}

function addPath(paths: Map<string, readonly string[]>, chain: Chain): void {
  // A function that was split and put together again stands in it twice.
  const path = chain.map(frame => frame.function).filter((name, i, all) => name !== all[i - 1]);
  paths.set(path.join(' '), path);
}

function macrosOf(
  subject: ExplainedFunction,
  changed: readonly SourceText[],
  unchanged: readonly SourceText[],
): Why[] {
  const names = new Set([
    subject.sourceName,
    ...[...subject.chains.before, ...subject.chains.after].flatMap(chain => chain.map(f => f.function)),
  ]);
  return changedMacros(changed).flatMap(({ name, lines }) => {
    const word = new RegExp(`\\b${name}\\b`);
    const used = [...changed, ...unchanged].flatMap(text =>
      text.functions
        .filter(candidate => candidate.names.some(one => names.has(one)))
        .flatMap(({ from, to }) => {
          const numbers = Array.from({ length: to - from + 1 }, (_, i) => from + i);
          return numbers
            .filter(number => word.test(text.masked[number - 1] ?? ''))
            .map(number => text.ref(number));
        }),
    );
    return used.length === 0 ? [] : [{ kind: 'macro' as const, name, lines, used }];
  });
}

/** Macros with a changed line, and those of the same files that are made of one. */
export function changedMacros(
  changed: readonly SourceText[],
): readonly { readonly name: string; readonly lines: readonly LineRef[] }[] {
  const macros = changed.flatMap(text => readMacros(text));
  const found = new Map<string, LineRef[]>();
  for (const { name, lines } of macros) {
    if (lines.length > 0) found.set(name, [...(found.get(name) ?? []), ...lines]);
  }
  for (let grown = true; grown; ) {
    grown = false;
    for (const { name, body } of macros) {
      if (found.has(name)) continue;
      const inner = [...found].find(([other]) => new RegExp(`\\b${other}\\b`).test(body));
      if (inner === undefined) continue;
      found.set(name, inner[1]);
      grown = true;
    }
  }
  return [...found].map(([name, lines]) => ({ name, lines }));
}

/** The macros that a source defines, their changed lines, and what they are made of. */
function readMacros(text: SourceText): { name: string; lines: LineRef[]; body: string }[] {
  const changed = new Set(text.changed);
  const macros: { name: string; lines: LineRef[]; body: string }[] = [];
  for (let index = 0; index < text.masked.length; index++) {
    const name = /^\s*#\s*define\s+(\w+)/.exec(text.masked[index] ?? '')?.[1];
    if (name === undefined) continue;
    const from = index;
    while (/\\\s*$/.test(text.masked[index] ?? '')) index++;
    const numbers = Array.from({ length: index - from + 1 }, (_, i) => from + i + 1);
    macros.push({
      name,
      lines: numbers.filter(number => changed.has(number)).map(number => text.ref(number)),
      body: text.masked
        .slice(from, index + 1)
        .join('')
        .replace(/^\s*#\s*define\s+\w+/, ''),
    });
  }
  return macros;
}
