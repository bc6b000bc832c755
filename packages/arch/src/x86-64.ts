import { createRequire } from 'node:module';
import type { Architecture, RelocationKind } from './architecture.ts';
import { Flow, type Instructions, instructionAt, noTarget } from './instructions.ts';
import { loadFromVariable } from './load-from-variable.ts';
import { quickPcBias } from './pc-bias.ts';
import { R_X86_64 } from './relocation-types.ts';

// iced-x86 is CommonJS around a wasm file that it reads when first required: about 25 ms, paid only by commands that
// look at code.
const requireModule = createRequire(import.meta.url);
type Iced = typeof import('iced-x86');
let loaded: Iced | undefined;

function iced(): Iced {
  loaded ??= requireModule('iced-x86') as Iced;
  return loaded;
}

const relocationKinds = new Map<number, RelocationKind>([
  [R_X86_64.NONE, { name: 'R_X86_64_NONE', size: 0, pcRelative: false, signed: false }],
  [R_X86_64[64], { name: 'R_X86_64_64', size: 8, pcRelative: false, signed: false }],
  [R_X86_64.PC32, { name: 'R_X86_64_PC32', size: 4, pcRelative: true, signed: true }],
  [R_X86_64.PLT32, { name: 'R_X86_64_PLT32', size: 4, pcRelative: true, signed: true }],
  [R_X86_64[32], { name: 'R_X86_64_32', size: 4, pcRelative: false, signed: false }],
  [R_X86_64['32S'], { name: 'R_X86_64_32S', size: 4, pcRelative: false, signed: true }],
  [R_X86_64.PC64, { name: 'R_X86_64_PC64', size: 8, pcRelative: true, signed: true }],
]);

const emMachineX86_64 = 62;

export const x86_64: Architecture = {
  machine: emMachineX86_64,
  ftraceSymbol: '__fentry__',
  relocation: type => relocationKinds.get(type),
  decode,
  pcBias(instructions, field) {
    const index = instructionAt(instructions, field);
    if (index < 0) return 0;
    return (instructions.starts[index] ?? 0) + (instructions.lengths[index] ?? 0) - field;
  },
  quickPcBias,
  takesAddress(code, instructions, field) {
    const start = instructions.starts[instructionAt(instructions, field)];
    return start === undefined || takesAddress(code.subarray(start), field - start);
  },
  storesAddress(code, instructions, field) {
    const start = instructions.starts[instructionAt(instructions, field)];
    return start !== undefined && storesAddress(code.subarray(start), field - start);
  },
  isPadding,
  // __x86_return_thunk, __x86_indirect_thunk_rax
  thunkPrefix: '__x86_',
  distanceType: R_X86_64.PC32,
  branchType: R_X86_64.PLT32,
  loadFromVariable,
  // endbr64
  landingPad: [0xf3, 0x0f, 0x1e, 0xfa],
};

/** int3, which the linker fills with, and what the assembler takes for .p2align: `nop`, `cs nopw 0(%rax,%rax,1)`. */
function isPadding(instruction: Uint8Array): boolean {
  const opcode = instruction.findIndex(byte => byte !== 0x66 && byte !== 0x2e);
  const [first, second] = instruction.subarray(opcode);
  return first === 0xcc || first === 0x90 || (first === 0x0f && second === 0x1f);
}

/** `movq $name, 8(%rdi)` */
function storesAddress(code: Uint8Array, field: number): boolean {
  const { Decoder, DecoderOptions, Mnemonic, OpKind } = iced();
  const decoder = new Decoder(64, code, DecoderOptions.None);
  const instruction = decoder.decode();
  const offsets = decoder.getConstantOffsets(instruction);
  try {
    const isImmediate = offsets.hasImmediate && offsets.immediateOffset === field;
    return isImmediate && instruction.mnemonic === Mnemonic.Mov && instruction.op0Kind === OpKind.Memory;
  } finally {
    offsets.free();
    instruction.free();
    decoder.free();
  }
}

/** `lea table(%rip), %rax` and `mov $table, %rdi` take it, `mov table(,%rdi,4), %eax` reads through it. */
function takesAddress(code: Uint8Array, field: number): boolean {
  const { Decoder, DecoderOptions, Mnemonic } = iced();
  const decoder = new Decoder(64, code, DecoderOptions.None);
  const instruction = decoder.decode();
  const offsets = decoder.getConstantOffsets(instruction);
  try {
    return (
      !offsets.hasDisplacement ||
      offsets.displacementOffset !== field ||
      instruction.mnemonic === Mnemonic.Lea
    );
  } finally {
    offsets.free();
    instruction.free();
    decoder.free();
  }
}

function decode(code: Uint8Array): Instructions {
  const { Decoder, DecoderOptions, Instruction, FlowControl, Mnemonic } = iced();
  const starts = new Uint32Array(code.length);
  const lengths = new Uint8Array(code.length);
  const flows = new Uint8Array(code.length);
  const targets = new Int32Array(code.length).fill(noTarget);
  const decoder = new Decoder(64, code, DecoderOptions.None);
  const instruction = new Instruction();
  let count = 0;
  let offset = 0;
  try {
    while (decoder.canDecode) {
      decoder.decodeOut(instruction);
      const length = instruction.length;
      starts[count] = offset;
      lengths[count] = length;
      const flowControl = instruction.flowControl;
      let flow: Flow = Flow.next;
      let direct = false;
      switch (flowControl) {
        case FlowControl.Next:
          break;
        case FlowControl.Call:
          flow = Flow.call;
          direct = true;
          break;
        case FlowControl.UnconditionalBranch:
          flow = Flow.jump;
          direct = true;
          break;
        case FlowControl.ConditionalBranch:
          flow = Flow.branch;
          direct = true;
          break;
        case FlowControl.IndirectCall:
          flow = Flow.call;
          break;
        case FlowControl.IndirectBranch:
          flow = Flow.jump;
          break;
        case FlowControl.Return:
          // `iretq` serializes the processor in sync_core(), and returns from no function.
          flow = instruction.mnemonic === Mnemonic.Ret ? Flow.return : Flow.other;
          break;
        case FlowControl.Interrupt:
        case FlowControl.XbeginXabortXend:
        case FlowControl.Exception:
          flow = Flow.other;
          break;
      }
      flows[count] = flow;
      if (direct) targets[count] = Number(BigInt.asIntN(32, instruction.nearBranchTarget));
      count += 1;
      offset += length;
    }
  } finally {
    instruction.free();
    decoder.free();
  }
  return {
    count,
    starts: starts.slice(0, count),
    lengths: lengths.slice(0, count),
    flows: flows.slice(0, count),
    targets: targets.slice(0, count),
  };
}
