/**
 * Members of structures that changed lines read and write, as the compiler saw them: gcc's `-fdump-tree-gimple-lineno`
 * writes down each function in simple statements, macros expanded, with the line of every access.
 *
 * An access counts where the type of what it goes through is written in the function, or given by a cast or by a call of a
 * function that the unit defines. The value of another member has no type there: of `inode->i_mapping->host`, `struct inode`
 * and `i_mapping` are told.
 */
import type { LineRef, Side, SourceText } from './source-text.ts';

export interface StructAccess {
  /** `struct ext4_buddy`, or a typedef's name. */
  readonly type: string;
  readonly members: readonly MemberAccess[];
}

export interface MemberAccess {
  /** `bd_buddy_folio`; of a member within a member both: `i_data.flags`. */
  readonly name: string;
  readonly write: boolean;
  /** Accesses in changed lines, removed ones included. */
  readonly lines: readonly LineRef[];
  /** Which side's changed lines have it. */
  readonly sides: readonly Side[];
}

/** A dump of the compiler and the source it is of. */
export interface GimpleDump {
  readonly side: Side;
  readonly text: string;
}

/** `[fs/ext4/mballoc.c:1365:5] `: the place of what follows it. */
const place = /\[([^\]\s:]+):(\d+):\d+\] /g;

/** Gathers what the dumps of any number of units say; none is kept. */
export class StructAccesses {
  readonly #changed: readonly SourceText[];
  readonly #types = new Map<string, Map<string, { write: boolean; lines: Map<string, LineRef> }>>();

  /** @param changed - both sides of the changed files */
  constructor(changed: readonly SourceText[]) {
    this.#changed = changed;
  }

  add({ side, text }: GimpleDump): void {
    const sources = new Map(
      this.#changed
        .filter(source => source.side === side)
        .map(source => [source.path, { source, lines: new Set(source.changed) }]),
    );
    for (const { type, member, write, file, line } of accessesIn(text)) {
      const known = sources.get(file);
      if (known === undefined || !known.lines.has(line)) continue;
      const members = this.#types.get(type) ?? new Map();
      this.#types.set(type, members);
      const access = members.get(member) ?? { write: false, lines: new Map() };
      members.set(member, access);
      access.write ||= write;
      access.lines.set(`${side} ${file} ${line}`, known.source.ref(line));
    }
  }

  list(): readonly StructAccess[] {
    return [...this.#types].toSorted(byName).map(([type, members]) => ({
      type,
      members: [...members].toSorted(byName).map(([name, { write, lines }]) => {
        const list = [...lines.values()];
        return { name, write, lines: list, sides: [...new Set(list.map(({ side }) => side))] };
      }),
    }));
  }
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

interface Access {
  readonly type: string;
  readonly member: string;
  readonly write: boolean;
  readonly file: string;
  readonly line: number;
}

/** A function's head: `int f (struct super_block * sb, struct ext4_buddy * e4b)`. */
const head = /^(?:__attribute__\S+ )?([A-Za-z_][\w *]*?[ *])(\w+) \((.*)\)$/;

function* accessesIn(text: string): Iterable<Access> {
  const returns = new Map<string, string>();
  const lines = text.split('\n');
  for (const line of lines) {
    const [, type, name] = head.exec(line) ?? [];
    if (type !== undefined && name !== undefined) returns.set(name, type.trim());
  }
  let variables = new Map<string, string>();
  for (const line of lines) {
    const [, , , parameters] = head.exec(line) ?? [];
    if (parameters !== undefined) {
      variables = new Map();
      for (const parameter of parameters.split(', ')) declare(variables, parameter);
      continue;
    }
    const declared = /^ +([A-Za-z_][\w ]*[ *]\**\s*[\w.]+)(?:\[[^\]]*\])*;$/.exec(line)?.[1];
    if (declared !== undefined && !declared.startsWith('return ')) {
      declare(variables, declared);
      continue;
    }
    learn(variables, returns, line.replaceAll(place, ''));
    yield* accessesOf(variables, line);
  }
}

function declare(variables: Map<string, string>, text: string): void {
  const [, type, name] = /^(.*[ *])([\w.]+)$/.exec(text.trim()) ?? [];
  if (type !== undefined && name !== undefined) variables.set(name, type.trim());
}

/** Temporaries have no declaration: `_1 = EXT4_SB (sb);`, `_2 = (struct foo *) p;`, `_3 = sb;` */
function learn(variables: Map<string, string>, returns: ReadonlyMap<string, string>, line: string): void {
  const [, name, value] = /^ +(_\d+) = (.*);$/.exec(line) ?? [];
  if (name === undefined || value === undefined) return;
  const cast = /^\((.*?)\) [\w.]+$/.exec(value)?.[1];
  const called = /^(\w+) \(/.exec(value)?.[1];
  const type = cast ?? (called === undefined ? variables.get(value) : returns.get(called));
  if (type === undefined) variables.delete(name);
  else variables.set(name, type);
}

function* accessesOf(variables: ReadonlyMap<string, string>, line: string): Iterable<Access> {
  // Every access has its own place, the left side of an assignment first.
  const assigned = line.replaceAll(place, '').indexOf(' = ');
  const pattern =
    /\[([^\]\s:]+):(\d+):\d+\] &?([A-Za-z_]\w*(?:\.\d+)?|_\d+|D\.\d+)((?:->|\.)[A-Za-z_][\w.]*(?:\[[^\]]*\][\w.]*)*)/g;
  for (const match of line.matchAll(pattern)) {
    const [, file = '', number = '', base = '', path = ''] = match;
    const type = structOf(variables.get(base), path.startsWith('->'));
    // Members of anonymous structures stand behind numbers: `folio->D.17987.D.17985.mapping`.
    const member = path
      .replace(/^(?:->|\.)/, '')
      .replaceAll(/D\.\d+\.?/g, '')
      .replaceAll(/\[[^\]]*\]/g, '[]')
      .replace(/\.$/, '');
    if (type === undefined || member === '') continue;
    const before = line.slice(0, match.index).replaceAll(place, '');
    const write = assigned >= 0 && before.trim() === '' && !line.includes(`&${base}`);
    yield { type, member, write, file, line: Number(number) };
  }
}

/** @returns the type that has the member; undefined where the variable's own type is not known */
function structOf(type: string | undefined, pointer: boolean): string | undefined {
  if (type === undefined) return undefined;
  const plain = type.replaceAll(/\b(?:const|volatile|restrict)\b\s*/g, '').trim();
  if (!pointer) return plain.includes('*') ? undefined : plain;
  return plain.endsWith('*') && !/\*\s*\*$/.test(plain) ? plain.replace(/\s*\*$/, '') : undefined;
}
