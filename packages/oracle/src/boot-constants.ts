/**
 * Numbers that the kernel writes into the instructions of vmlinux while it boots. Sections `runtime_ptr_NAME` and
 * `runtime_shift_NAME` list where, in distances of four bytes, and hold the name (arch/x86/include/asm/runtime-const.h). A module
 * gets none of them, so in a livepatch the instruction must be another one: `mov NAME(%rip), %reg`.
 */
import { unreadable } from './object-text.ts';
import type { Part, UnitParts } from './unit-parts.ts';

export interface BootConstant {
  readonly name: string;
  readonly kind: 'ptr' | 'shift';
  /** Bytes from the start of the function to the number. */
  readonly at: number;
}

/** Bytes that stand in the livepatch for some of the compiled unit, with one relocation to a variable of the kernel. */
export interface VariableRead {
  readonly name: string;
  /** Counted as the constant's place is. */
  readonly start: number;
  readonly bytes: Buffer;
  /** Of the relocation's field. */
  readonly field: number;
}

/** What the kernel's own modules read in place of the number. */
const variablesForModules: readonly string[] = ['USER_PTR_MAX'];

/** @throws KstitchError - `oracle-unreadable` when an entry is about no function */
export function readBootConstants(unit: UnitParts): ReadonlyMap<Part, readonly BootConstant[]> {
  const constants = new Map<Part, BootConstant[]>();
  const { object } = unit;
  for (const section of object.sections) {
    const [, kind, name] = /^runtime_(ptr|shift)_(\w+)$/.exec(section.name) ?? [];
    if (name === undefined || section.type === 'RELA') continue;
    for (const relocation of object.relocations(section.index)) {
      const meaning = unit.meaning(section, relocation);
      if (meaning.kind !== 'part')
        throw unreadable(object.path, `an entry of ${section.name} is about no function`);
      const own = constants.get(meaning.part) ?? [];
      constants.set(meaning.part, own);
      own.push({ name, kind: kind === 'ptr' ? 'ptr' : 'shift', at: meaning.offset });
    }
  }
  return constants;
}

/**
 * @param code - what the compiler made
 * @param at - of the constant in `code`
 * @returns undefined where a livepatch cannot hold the function
 */
export function variableRead(
  { name, kind }: BootConstant,
  code: Buffer,
  at: number,
): VariableRead | undefined {
  const start = at - 2;
  // movabs $0x123456789abcdef, %rax … %rdi: 48 b8 … 48 bf; %r8 … %r15: 49 b8 … 49 bf
  const first = code[start];
  const register = (code[start + 1] ?? 0) - 0xb8 + (first === 0x49 ? 8 : 0);
  if (kind !== 'ptr' || !variablesForModules.includes(name)) return undefined;
  if ((first !== 0x48 && first !== 0x49) || register < 0 || register > 15 || code.length < at + 8)
    return undefined;
  if (code.readBigUInt64LE(at) !== 0x0123_4567_89ab_cdefn) return undefined;
  // mov 0(%rip), %reg, and nopl (%rax)
  const bytes = Buffer.from('488b05000000000f1f00', 'hex');
  bytes[0] = register < 8 ? 0x48 : 0x4c;
  bytes[2] = 5 + 8 * (register % 8);
  return { name, start, bytes, field: start + 3 };
}
