/** Relocation types of the x86-64 psABI that arch/x86/kernel/module.c: apply_relocate_add() carries out. */
export const R_X86_64 = {
  NONE: 0,
  64: 1,
  PC32: 2,
  PLT32: 4,
  32: 10,
  '32S': 11,
  PC64: 24,
} as const;
