import type { Instructions } from './instructions.ts';

/** How one relocation type computes and stores its value (processor supplement, "Relocation Types"). */
export interface RelocationKind {
  readonly name: string;
  /** Bytes of the field that is written. */
  readonly size: 0 | 4 | 8;
  /** The place is subtracted: S + A - P. */
  readonly pcRelative: boolean;
  /** The stored field is sign-extended when read back. */
  readonly signed: boolean;
}

/** Instructions in place of others, and the relocation that leads them to a variable. */
export interface VariableLoad {
  /** Where they begin. */
  readonly offset: number;
  /** The field of the relocation zero. */
  readonly bytes: Uint8Array;
  /** Offset of the field, counted as `offset` is. */
  readonly field: number;
  /** Relocation type. */
  readonly type: number;
  /** Bytes from the field to the address that the processor counts from. */
  readonly bias: number;
}

/** What depends on the processor; everything above speaks of sections, symbols and relocations only. */
export interface Architecture {
  /** `e_machine` of its ELF files. */
  readonly machine: number;
  /**
   * @returns how the relocation is computed, or undefined for a type that the kernel's module loader does not know
   */
  relocation(type: number): RelocationKind | undefined;
  /**
   * @param code - machine code of one function, relocation fields zero
   * @returns its instructions, in order of their offsets
   */
  decode(code: Uint8Array): Instructions;
  /**
   * @param field - offset of a relocation field in `code`
   * @returns the bytes from the field to the address that the processor counts from: on x86-64 the end of the
   *   instruction, elsewhere in data the field itself (0)
   */
  pcBias(instructions: Instructions, field: number): number;
  /**
   * @param field - offset of a PC-relative field of four bytes in `code`
   * @returns the same without decoding, or 0 where the bytes around the field do not tell
   */
  quickPcBias(code: Uint8Array, field: number): number;
  /**
   * @param field - offset of a relocation field in `code`
   * @returns whether the instruction makes an address of it that may be kept, rather than read or write through it
   */
  takesAddress(code: Uint8Array, instructions: Instructions, field: number): boolean;
  /**
   * @param field - offset of a relocation field in `code`
   * @returns whether the instruction writes the address itself to memory, where it outlives the function
   */
  storesAddress(code: Uint8Array, instructions: Instructions, field: number): boolean;
  /** @returns whether the bytes are one instruction that only fills space between functions */
  isPadding(instruction: Uint8Array): boolean;
  /** What the compiler's own jumps for a return or through a register lead to begins with. */
  readonly thunkPrefix: string;
  /** How an instruction and an entry of a table hold a distance of four bytes. */
  readonly distanceType: number;
  /** Type of the relocation that makes a direct branch lead elsewhere; its field has four bytes. */
  readonly branchType: number;
  /**
   * @param field - offset in `code` of the constant that an instruction loads into a register, which the kernel writes at
   *   boot
   * @returns what loads the register from a variable instead and is as long, or undefined where no such instruction is there
   */
  loadFromVariable(code: Uint8Array, instructions: Instructions, field: number): VariableLoad | undefined;
  /** What a function must begin with to be called through a pointer where CET is enforced. */
  readonly landingPad: readonly number[];
  /** The symbol that a compiler-made ftrace site calls. */
  readonly ftraceSymbol: string;
}
