/**
 * The distance from a PC-relative field to the end of its x86-64 instruction, read off the bytes before the field.
 *
 * Decoding a function from its start to find one instruction costs far more than the rest of reading it, and nearly every
 * field stands in one of two forms: a branch (`e8`, `e9`, `0f 8x`), whose field is its end, or an operand `disp(%rip)`, behind
 * which there are as many bytes as the opcode says its immediate has (Intel SDM volume 2, 2.1 and appendix A). Where the
 * bytes can be read in two ways that disagree, nothing is guessed.
 */

/**
 * @param code - machine code
 * @param field - offset of a PC-relative relocation field of four bytes
 * @returns bytes from the field to the end of the instruction, or 0 where only decoding can tell
 */
export function quickPcBias(code: Uint8Array, field: number): number {
  const last = code[field - 1] ?? 0;
  if (last === 0xe8 || last === 0xe9) return 4;
  const opcode = code[field - 2] ?? 0;
  if ((last & 0xf0) === 0x80 && opcode === 0x0f) return 4;
  // ModRM with mod = 00 and r/m = 101 is disp32(%rip).
  if ((last & 0xc7) !== 0x05 || field < 3) return 0;
  const previous = code[field - 3] ?? 0;
  const before = code[field - 4] ?? 0;
  if (isVector(code, field) || (before === 0x0f && (previous === 0x38 || previous === 0x3a))) return 0;
  // An operand-size prefix makes an immediate of four bytes one of two.
  if (previous === 0x66 || before === 0x66 || code[field - 5] === 0x66) return 0;
  if (opcode === 0x0f) return 0;
  const oneByte = immediateOf(opcode, last);
  // 0f may be the escape of a two-byte opcode or the end of the instruction before.
  if (previous === 0x0f && oneByte !== immediateOfTwoByte(opcode)) return 0;
  return 4 + oneByte;
}

/** Whether a VEX, XOP or EVEX prefix may stand there. */
function isVector(code: Uint8Array, field: number): boolean {
  const three = code[field - 5];
  return code[field - 4] === 0xc5 || three === 0xc4 || three === 0x8f || code[field - 6] === 0x62;
}

function immediateOf(opcode: number, modrm: number): number {
  switch (opcode) {
    case 0x6b:
    case 0x80:
    case 0x82:
    case 0x83:
    case 0xc0:
    case 0xc1:
    case 0xc6:
      return 1;
    case 0x69:
    case 0x81:
    case 0xc7:
      return 4;
    // Of group 3 only test has one.
    case 0xf6:
      return (modrm & 0x30) === 0 ? 1 : 0;
    case 0xf7:
      return (modrm & 0x30) === 0 ? 4 : 0;
    default:
      return 0;
  }
}

function immediateOfTwoByte(opcode: number): number {
  if (opcode >= 0x70 && opcode <= 0x73) return 1;
  switch (opcode) {
    case 0xa4:
    case 0xac:
    case 0xba:
    case 0xc2:
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return 1;
    default:
      return 0;
  }
}
