/**
 * What a patch changes about types whose memory unpatched code may share.
 *
 * A patched function reads an object that an unpatched one filled, and the other way round, so what both sides know of a type
 * must lie in the same place. Types of one side only cannot be shared. Names and what pointers point to do not matter to memory:
 * a member that lost its name has to be where, as wide as, and of the nature of one that came. What a struct gains in a hole
 * is where unpatched code never looks, but it finds there what unpatched code left.
 *
 * Not seen, because gcc-12's -gbtf leaves it out: structs and enums defined inside a function body, and enumerators that are
 * neither an int nor an unsigned int below 2^31.
 */
import type { Layout, Member, TypeTable } from './type-table.ts';

export interface TypeChange {
  readonly code: 'struct-layout-changed' | 'struct-hole-used' | 'enum-value-changed';
  /** As the author names it to accept it: tag, typedef or enumerator. */
  readonly name: string;
  /** One sentence without a full stop. */
  readonly text: string;
  readonly notes: readonly string[];
}

/** @returns the changes, first the structs that changed by themselves, then those that contain them */
export function compareTypes(before: TypeTable, after: TypeTable): readonly TypeChange[] {
  const structs: TypeChange[] = [];
  for (const [key, old] of before.layouts)
    structs.push(...compareNamesakes(old, after.layouts.get(key) ?? []));
  const enumerators: TypeChange[] = [];
  for (const [name, old] of before.enumerators) {
    const now = after.enumerators.get(name);
    if (now === undefined || (old.size === now.size && [...old].every(value => now.has(value)))) continue;
    enumerators.push({
      code: 'enum-value-changed',
      name,
      text: `the patch changes the value of '${name}' from ${[...old].join(', ')} to ${[...now].join(', ')}`,
      notes: [],
    });
  }
  return [...structs, ...enumerators];
}

/** Of several types of one name those that did not change are set aside; what is left of one side only came or went. */
function compareNamesakes(before: readonly Layout[], after: readonly Layout[]): readonly TypeChange[] {
  const old = before.filter(layout => !after.some(other => compareLayouts(layout, other) === undefined));
  const now = after.filter(layout => !before.some(other => compareLayouts(other, layout) === undefined));
  return old.flatMap((layout, index) => {
    const other = now[index];
    const change = other && compareLayouts(layout, other);
    return change === undefined ? [] : [change];
  });
}

/** @returns undefined when code that knows one can use the other */
function compareLayouts(before: Layout, after: Layout): TypeChange | undefined {
  const differences = memberDifferences(before, after);
  if (before.size !== after.size) differences.push(`its size from ${before.size} to ${after.size} bytes`);
  const what = before.kind === 'type' ? `'${before.name}'` : `'${before.kind} ${before.name}'`;
  const { name } = before;
  const [first, ...others] = differences;
  if (first !== undefined) {
    const text = `the patch changes the layout of ${what}: ${first}`;
    return { code: 'struct-layout-changed', name, text, notes: others };
  }
  const [added, ...more] = newcomers(before, after).filter(
    member => !before.members.some(other => overlap(member, other)),
  );
  if (added === undefined) return undefined;
  const text = `the patch puts member '${added.path}' into a hole of ${what} at ${place(added)}`;
  const notes = more.map(member => `member '${member.path}' at ${place(member)}`);
  return { code: 'struct-hole-used', name, text, notes };
}

function memberDifferences(before: Layout, after: Layout): string[] {
  const now = new Map(after.members.map(member => [member.path, member]));
  const found = before.members.flatMap(old => {
    const member = now.get(old.path);
    return member === undefined ? [] : differences(old, member);
  });
  const gone = before.members.filter(({ path }) => !now.has(path));
  for (const member of newcomers(before, after)) {
    const replaced = gone.filter(old => overlap(old, member));
    // Under another name it is the old one; all it may not be is something else in the old one's place.
    if (replaced.length === 0 || replaced.some(old => differences(old, member).length === 0)) continue;
    const names = replaced.map(({ path }) => `'${path}'`).join(', ');
    found.push(`member '${member.path}' takes the place of ${names} at ${place(member)}`);
  }
  return found;
}

function newcomers(before: Layout, after: Layout): readonly Member[] {
  const known = new Set(before.members.map(({ path }) => path));
  return after.members.filter(({ path, bitSize }) => path !== '' && bitSize > 0 && !known.has(path));
}

function differences(old: Member, now: Member): string[] {
  const label = `member '${old.path}'`;
  if (old.bitOffset !== now.bitOffset) return [`${label} from ${place(old)} to ${place(now)}`];
  if (old.bitSize !== now.bitSize) return [`${label} from ${width(old.bitSize)} to ${width(now.bitSize)}`];
  if (old.nature !== now.nature && !old.wraps.includes(now.nature) && !now.wraps.includes(old.nature))
    return [`${label} from ${old.nature} to ${now.nature}`];
  return [];
}

function overlap(a: Member, b: Member): boolean {
  return a.bitOffset < b.bitOffset + b.bitSize && b.bitOffset < a.bitOffset + a.bitSize;
}

function place({ bitOffset }: Member): string {
  const bit = bitOffset % 8;
  return `byte ${Math.floor(bitOffset / 8)}${bit === 0 ? '' : ` bit ${bit}`}`;
}

function width(bits: number): string {
  if (bits % 8 !== 0) return `${bits} bits`;
  return `${bits / 8} ${bits === 8 ? 'byte' : 'bytes'}`;
}
