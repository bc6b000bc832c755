/**
 * Sizes of special-section entries, told from an object alone.
 *
 * Every entry of a table has its relocations at the same places, so that few layouts of the kernel's history fit the
 * relocations of a real section. Where a relocation points to (code or not) tells layouts of equal rhythm apart.
 *
 * Layouts: struct alt_instr (arch/x86/include/asm/alternative.h), bug_entry (include/asm-generic/bug.h), jump_entry
 * (include/linux/jump_label.h, and arch/x86 before 4.19), exception_table_entry (arch/x86/include/asm/extable.h),
 * paravirt_patch_site (arch/x86/include/asm/paravirt_types.h).
 */
import type { EntrySizes } from './special-sections.ts';

/** A table of the object, its relocations ascending by offset. */
export interface TableShape {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  readonly relocations: readonly TableRelocation[];
}

export interface TableRelocation {
  /** In bytes from the start of the section. */
  readonly offset: number;
  readonly to: 'code' | 'data' | 'undefined';
}

export interface GuessedSizes {
  readonly sizes: EntrySizes;
  /** Names of tables that fit no known layout, or more than one; their size is undefined. */
  readonly unknown: readonly string[];
}

/** Where an entry has relocations, in bytes from its start, and what they may point to. */
interface Layout {
  readonly size: number;
  readonly fields: Readonly<Record<number, Field>>;
  /** The last entry may lack the padding that aligns the next. */
  readonly shortest?: number;
}

interface Field {
  readonly to: readonly TableRelocation['to'][];
  readonly optional?: true;
}

const code: Field = { to: ['code'] };
const file: Field = { to: ['data'] };
const key: Field = { to: ['data', 'undefined'] };

const layouts = {
  // instruction, replacement; then a feature of 2 or 4 bytes, lengths, padding (4.1 to 5.11)
  '.altinstructions': [12, 13, 14].map(size => ({ size, fields: { 0: code, 4: code } })),
  __bug_table: [
    // without CONFIG_DEBUG_BUGVERBOSE
    { size: 8, fields: { 0: code } },
    { size: 12, fields: { 0: code, 4: file } },
    // with the format of the warning (6.18)
    { size: 16, fields: { 0: code, 4: { to: ['data'], optional: true }, 8: file } },
  ],
  __jump_table: [
    { size: 16, fields: { 0: code, 4: code, 8: key } },
    { size: 24, fields: { 0: code, 8: code, 16: key } },
  ],
  __ex_table: [
    { size: 8, fields: { 0: code, 4: code } },
    // a handler from 4.6 to 5.15, a number since
    { size: 12, fields: { 0: code, 4: code, 8: { to: ['undefined'], optional: true } } },
  ],
  '.parainstructions': [{ size: 16, fields: { 0: code }, shortest: 12 }],
} as const satisfies Record<string, readonly Layout[]>;

/** Names of the tables whose entry sizes can be guessed. */
export const guessedTables: ReadonlySet<string> = new Set(Object.keys(layouts));

/**
 * @param tables - the sections of {@link guessedTables} that the objects have; several of one name are of one layout
 * @returns sizes for `treatmentOf()`; undefined for a table that no section is given for, which then needs none
 */
export function guessEntrySizes(tables: readonly TableShape[]): GuessedSizes {
  const unknown: string[] = [];
  const sizeOf = (name: keyof typeof layouts): number | undefined => {
    const shapes = tables.filter(table => table.name === name && table.size > 0);
    const fitting = (layouts[name] as readonly Layout[]).filter(layout =>
      shapes.every(shape => fits(shape, layout)),
    );
    if (shapes.length === 0) return undefined;
    if (fitting.length !== 1) unknown.push(name);
    return fitting.length === 1 ? fitting[0]?.size : undefined;
  };
  const altInstruction = sizeOf('.altinstructions');
  return {
    sizes: {
      altInstruction,
      altReplacementLength: altInstruction === 14 ? 13 : 11,
      bug: sizeOf('__bug_table'),
      jump: sizeOf('__jump_table'),
      exception: sizeOf('__ex_table'),
      paravirt: sizeOf('.parainstructions'),
    },
    unknown,
  };
}

function fits({ size, relocations }: TableShape, layout: Layout): boolean {
  const count = Math.ceil(size / layout.size);
  const short = size - (count - 1) * layout.size;
  if (short !== layout.size && short !== layout.shortest) return false;
  const seen = new Set<number>();
  for (const { offset, to } of relocations) {
    const field = layout.fields[offset % layout.size];
    if (field?.to.includes(to) !== true) return false;
    seen.add(offset);
  }
  const required = Object.entries(layout.fields).filter(([, field]) => field.optional !== true);
  for (let entry = 0; entry < count; entry += 1) {
    if (!required.every(([at]) => seen.has(entry * layout.size + Number(at)))) return false;
  }
  return true;
}
