import type { VariableLoad } from './architecture.ts';
import { type Instructions, instructionStartingAt } from './instructions.ts';
import { R_X86_64 } from './relocation-types.ts';

/** What the kernel's source writes until boot knows better (arch/x86/include/asm/runtime-const.h: runtime_const_ptr()). */
const placeholder = [0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01];
const rexW = 0x48;
const rexB = 0x01;
const rexR = 0x04;
const movImmediate = 0xb8;
const movLoad = 0x8b;
/** ModRM with mod = 00 and r/m = 101: disp32(%rip). */
const ripRelative = 0x05;
const nop3 = [0x0f, 0x1f, 0x00];

/**
 * `movabs $0x123456789abcdef, %rdx` (REX.W B8+r, 10 bytes) as `mov name(%rip), %rdx` (REX.W 8B /r, 7 bytes) and a NOP of the
 * three bytes that are left. The register's fourth bit is REX.B in the first form and REX.R in the second. Neither touches
 * the flags. The same source compiled for a module reads the variable, too (arch/x86/include/asm/uaccess_64.h).
 */
export function loadFromVariable(
  code: Uint8Array,
  instructions: Instructions,
  field: number,
): VariableLoad | undefined {
  const offset = field - 2;
  const index = instructionStartingAt(instructions, offset);
  const prefix = code[offset] ?? 0;
  const opcode = code[offset + 1] ?? 0;
  if (
    instructions.lengths[index] !== 10 ||
    (prefix & ~rexB) !== rexW ||
    (opcode & 0xf8) !== movImmediate ||
    !placeholder.every((byte, i) => code[field + i] === byte)
  )
    return undefined;
  const rex = (prefix & rexB) === 0 ? rexW : rexW | rexR;
  const modrm = ((opcode & 0x07) << 3) | ripRelative;
  return {
    offset,
    bytes: Uint8Array.from([rex, movLoad, modrm, 0, 0, 0, 0, ...nop3]),
    field: offset + 3,
    type: R_X86_64.PC32,
    bias: 4,
  };
}
