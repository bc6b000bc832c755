import { createRequire } from 'node:module';

const requireModule = createRequire(import.meta.url);

/** One instruction as text, for people; nothing is decided from it. */
export interface DisassembledInstruction {
  /** Of its first byte in the code, in bytes. */
  readonly offset: number;
  readonly length: number;
  /** In AT&T syntax, as `objdump -d` has it; places in the code are offsets: `jne 0x1c`. */
  readonly text: string;
}

/**
 * @param code - x86-64 machine code of one function, from its first instruction on
 * @returns its instructions, in order of their offsets
 */
export function disassemble(code: Uint8Array): DisassembledInstruction[] {
  const { Decoder, DecoderOptions, Formatter, FormatterSyntax, Instruction } = requireModule(
    'iced-x86',
  ) as typeof import('iced-x86');
  const decoder = new Decoder(64, code, DecoderOptions.None);
  const formatter = new Formatter(FormatterSyntax.Gas);
  formatter.hexPrefix = '0x';
  formatter.hexSuffix = '';
  formatter.uppercaseHex = false;
  formatter.smallHexNumbersInDecimal = false;
  formatter.branchLeadingZeros = false;
  formatter.spaceAfterOperandSeparator = false;
  formatter.ripRelativeAddresses = true;
  formatter.firstOperandCharIndex = 8;
  const instruction = new Instruction();
  const instructions: DisassembledInstruction[] = [];
  let offset = 0;
  try {
    while (decoder.canDecode) {
      decoder.decodeOut(instruction);
      instructions.push({ offset, length: instruction.length, text: formatter.format(instruction) });
      offset += instruction.length;
    }
  } finally {
    instruction.free();
    formatter.free();
    decoder.free();
  }
  return instructions;
}
