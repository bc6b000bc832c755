/**
 * The types of one unit as memory sees them: named structs and unions flattened to members, and the values of enumerators.
 *
 * What has a name is compared by its name, wherever else it stands. What has none (an anonymous union, the struct of
 * `struct { … } entries[4]`) is part of what contains it: its members count with the path that leads to them.
 */
import type { Btf, BtfType } from '@kstitch/kernel/btf';
import { KstitchError } from '@kstitch/report/error';

/** A piece of a struct that is one thing: a number, a pointer, an array of these, or a struct with a name of its own. */
export interface Member {
  /** `lock`, `entries[].state`; empty for a bit of padding with a width. */
  readonly path: string;
  /** From the start of the struct, or of one element of an array of nameless structs. */
  readonly bitOffset: number;
  readonly bitSize: number;
  /** What unpatched code takes it for: `integer`, `pointer`, `float`, `struct foo`, with `[]` for arrays. */
  readonly nature: string;
  /** Of a struct that holds one struct and nothing else, that one's, and so on: `spinlock_t` is a `raw_spinlock_t`. */
  readonly wraps: readonly string[];
}

export interface Layout {
  /** `struct`, `union`, or `type` for a nameless one behind a typedef. */
  readonly kind: 'struct' | 'union' | 'type' | 'enum';
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** None of an enum. */
  readonly members: readonly Member[];
}

export interface TypeTable {
  /** By kind and name. Several of a name are types of several functions or files. */
  readonly layouts: ReadonlyMap<string, readonly Layout[]>;
  /** By name, in the order of the unit. */
  readonly enumerators: ReadonlyMap<string, ReadonlySet<number>>;
}

/** Types within each other; the kernel's go to about ten. */
const maxNesting = 64;

/** @throws KstitchError - `kernel-btf` */
export function readTypeTable(btf: Btf): TypeTable {
  const layouts = new Map<string, Layout[]>();
  const enumerators = new Map<string, Set<number>>();
  const add = (layout: Layout) => {
    const key = `${layout.kind} ${layout.name}`;
    layouts.set(key, [...(layouts.get(key) ?? []), layout]);
  };
  for (let number = 1; number <= btf.typeCount; number++) {
    const type = btf.type(number);
    if (type.kind === 'enum') {
      for (const [name, value] of type.values) {
        enumerators.set(name, (enumerators.get(name) ?? new Set()).add(value));
      }
      if (type.name !== '') add({ kind: 'enum', name: type.name, size: type.size, members: [] });
    } else if ((type.kind === 'struct' || type.kind === 'union') && type.name !== '') {
      add({ kind: type.kind, name: type.name, size: type.size, members: membersOf(btf, type) });
    } else if (type.kind === 'alias' && type.name !== '' && type.type !== 0) {
      const aliased = btf.type(type.type);
      if ((aliased.kind === 'struct' || aliased.kind === 'union') && aliased.name === '') {
        add({ kind: 'type', name: type.name, size: aliased.size, members: membersOf(btf, aliased) });
      }
    }
  }
  return { layouts, enumerators };
}

type Composite = Extract<BtfType, { kind: 'struct' | 'union' }>;

function membersOf(btf: Btf, type: Composite, prefix = '', base = 0, depth = 0): Member[] {
  if (depth > maxNesting) {
    throw new KstitchError(
      'kernel-btf',
      `cannot read the BTF of '${btf.what}': structs within structs on and on`,
    );
  }
  return type.fields.flatMap(field => {
    const { bits, nature, wraps = [], nameless } = describe(btf, field.type);
    const bitOffset = base + field.bitOffset;
    const path = prefix + field.name;
    if (nameless === undefined) {
      return [{ path, bitOffset, bitSize: field.bitSize || bits, nature, wraps }];
    }
    const inner = field.name === '' ? prefix : `${path}${nameless.brackets}.`;
    const members = membersOf(btf, nameless.type, inner, bitOffset, depth + 1);
    // How often it stands there: the members of one element do not tell.
    return nameless.brackets === ''
      ? members
      : [{ path, bitOffset, bitSize: bits, nature, wraps }, ...members];
  });
}

interface Description {
  readonly bits: number;
  readonly nature: string;
  readonly wraps?: readonly string[];
  /** The struct or union without a name that it comes to. */
  readonly nameless?: { readonly type: Composite; readonly brackets: string };
}

/** What stands in memory, behind qualifiers and the other names of a type. */
function describe(btf: Btf, number: number, depth = 0): Description {
  if (depth > maxNesting) {
    throw new KstitchError(
      'kernel-btf',
      `cannot read the BTF of '${btf.what}': type ${number} refers on and on`,
    );
  }
  // Type 0 is void, which nothing in memory is.
  if (number === 0) return { bits: 0, nature: 'nothing' };
  const type = btf.type(number);
  switch (type.kind) {
    case 'integer':
      return { bits: type.size * 8, nature: 'integer' };
    case 'enum':
      return { bits: type.size * 8, nature: 'integer' };
    case 'float':
      return { bits: type.size * 8, nature: 'float' };
    case 'pointer':
      return { bits: 64, nature: 'pointer' };
    case 'array': {
      const element = describe(btf, type.element, depth + 1);
      const { nameless } = element;
      return {
        bits: element.bits * type.count,
        nature: `${element.nature}[]`,
        ...(nameless === undefined ? {} : { nameless: { ...nameless, brackets: `${nameless.brackets}[]` } }),
      };
    }
    case 'struct':
    case 'union':
      return type.name === ''
        ? { bits: type.size * 8, nature: type.kind, nameless: { type, brackets: '' } }
        : {
            bits: type.size * 8,
            nature: `${type.kind} ${type.name}`,
            wraps: wrappedBy(btf, type, depth + 1),
          };
    case 'alias': {
      // A nameless struct behind a typedef is compared by that name.
      const aliased = describe(btf, type.type, depth + 1);
      if (type.name === '' || aliased.nameless?.brackets !== '') return aliased;
      return { bits: aliased.bits, nature: type.name };
    }
    case 'other':
      return { bits: 0, nature: 'nothing' };
  }
}

function wrappedBy(btf: Btf, type: Composite, depth: number): readonly string[] {
  const [only, ...more] = type.fields;
  if (only === undefined || more.length > 0 || only.bitSize > 0) return [];
  const { bits, nature, wraps = [], nameless } = describe(btf, only.type, depth);
  if (bits !== type.size * 8) return [];
  if (nameless !== undefined) return nameless.brackets === '' ? wrappedBy(btf, nameless.type, depth + 1) : [];
  return /^(struct|union) \S+$/.test(nature) ? [nature, ...wraps] : [];
}
